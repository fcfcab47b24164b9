"""Programs on the emulated board: one processor per tier of instructions."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / "tests/arm/python"
LIBRARIES = ROOT / "build/arm/root"
INSTALLED = ROOT / "build/arm/site-wheel"  # the wheel, as pip installed it
# Processor model -> the tiers that it has.
PROCESSORS = {
    "cortex-a72": ("scalar", "neon"),  # ARMv8.0: Raspberry Pi 3 and 4, Jetson Nano
    "cortex-a76": ("scalar", "neon", "dotprod"),  # Raspberry Pi 5, Jetson Orin, phones
    "max,sve=off": ("scalar", "neon", "dotprod", "i8mm"),  # Armv9 phones
}


def run(
    processor: str, *command: str | Path, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs Python with the wheel installed; with ``check``, fails unless it exits with 0."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("LACEWING_", "PYTHON"))}
    variables |= {"QEMU_CPU": processor, "LW_ARM_SITE": str(INSTALLED)} | environment
    return _run(f"{processor}: ", [str(PYTHON), *map(str, command)], variables, check)


def run_program(
    processor: str, program: Path, *arguments: str | Path, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs an aarch64 program."""
    command = ["qemu-aarch64", "-L", str(LIBRARIES), str(program), *map(str, arguments)]
    return _run(f"{processor}: ", command, os.environ | {"QEMU_CPU": processor}, check)


def _run(
    where: str, command: list[str], environment: dict[str, str], check: bool
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != -signal.SIGILL, f"{where}{command}: illegal instruction"
    if check:
        assert done.returncode == 0, (
            f"{where}{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
    return done
