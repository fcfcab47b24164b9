"""One counted process on an emulated processor."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lacewing.converter.output import write_atomically
from tests.arm.board import LIBRARIES, PROCESSORS, ROOT
from tests.building import alone

BUILD = ROOT / "build" / "arm"
PYTHON = "usr/bin/python3.11"
HERE = Path(__file__).resolve().parent
LACEWING = ROOT / "build" / "bench" / "arm" / "lib"  # our package for the board, its engine with all symbols
ENGINE = LACEWING / "lacewing" / "_engine.abi3.so"

_V80 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_V82 = _V80.replace("cpuid", "atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp")


@dataclass(frozen=True)
class Cpu:
    """A processor model of qemu, and what Linux says of such a processor."""

    qemu: str
    target: str  # of the rows
    part: int  # of /proc/cpuinfo: the peers choose their kernels by it
    features: str

    @property
    def tier(self) -> str:
        """Ours."""
        return PROCESSORS[self.qemu][-1]


CPUS = (
    Cpu("cortex-a72", "arm-armv8.0", 0xD08, _V80),
    Cpu("cortex-a76", "arm-dotprod", 0xD0B, _V82),
    Cpu("max,sve=off", "arm-i8mm", 0xD49, _V82 + " i8mm bf16"),
)


@dataclass(frozen=True)
class Block:
    """A stretch of code without branches: where, how many instructions, how often it ran."""

    address: int
    instructions: int
    executions: int


@dataclass(frozen=True)
class Counted:
    """One model in one process."""

    dtype: str
    target: str
    runs: list[list[Block]]
    maps: str  # /proc/self/maps of the process


def compile_plugin() -> Path:
    """The counting plugin, for this machine."""
    plugin = BUILD / "instructions.so"
    source = HERE / "instructions.c"
    with alone():  # another process may be compiling it
        if not plugin.exists() or plugin.stat().st_mtime < source.stat().st_mtime:
            command = ["cc", "-std=c11", "-O2", "-fPIC", "-shared", "-o", str(plugin), str(source)]
            subprocess.run(command, check=True)
    return plugin


def root_of(cpu: Cpu) -> Path:
    """The board's root with this processor's /proc/cpuinfo: qemu lets the guest see this machine's, and the peers'
    detection of processors crashes on it."""
    root = BUILD / f"root-{cpu.qemu.partition(',')[0]}"
    (root / "proc").mkdir(parents=True, exist_ok=True)
    lines = [
        "BogoMIPS\t: 100.00",
        f"Features\t: {cpu.features}",
        "CPU implementer\t: 0x41",
        "CPU architecture: 8",
        "CPU variant\t: 0x3",
        f"CPU part\t: {cpu.part:#05x}",
        "CPU revision\t: 1\n\n",
    ]
    text = "".join("\n".join([f"processor\t: {i}", *lines]) for i in range(2))
    write_atomically(root / "proc" / "cpuinfo", text.encode())
    for folder in ("usr", "lib", "etc", "var"):
        with suppress(FileExistsError):
            (root / folder).symlink_to(os.path.relpath(LIBRARIES / folder, root))
    return root


def count(cpu: Cpu, runtime: str, models: Sequence[Path], runs: int = 1) -> list[Counted]:
    """Runs every model in one process and counts each of its last ``runs`` runs."""
    root = root_of(cpu)
    sites = [LACEWING, BUILD / "site", BUILD / "site-peers"]
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "counts"
        emulator = ["qemu-aarch64", "-L", str(root), "-cpu", cpu.qemu, "-E", "OPENBLAS_NUM_THREADS=1"]
        emulator += ["-plugin", f"file={compile_plugin()},out={counts}"]
        emulator += ["-E", "PYTHONPATH=" + ":".join(map(str, sites))]
        script = [
            str(LIBRARIES / PYTHON),
            str(HERE / "counted.py"),
            runtime,
            str(runs),
            *map(str, models),
        ]
        done = subprocess.run(emulator + script, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{runtime} on {cpu.qemu} ended with {done.returncode}: {done.stderr[-2000:]}")
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        stretches = _read(counts)
    return [
        Counted(model["dtype"], model["target"], stretches[i * runs : (i + 1) * runs], said["maps"])
        for i, model in enumerate(said["models"])
    ]


def _read(path: Path) -> list[list[Block]]:
    stretches: list[list[Block]] = []
    for line in path.read_text().splitlines():
        if line == "begin":
            stretches.append([])
        elif line != "end":
            address, instructions, executions = line.split()
            stretches[-1].append(Block(int(address, 16), int(instructions), int(executions)))
    return stretches
