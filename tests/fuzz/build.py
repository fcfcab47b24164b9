"""Builds the sanitized programs of fuzz.mk."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def program(name: str) -> Path:
    """``build/fuzz/<name>``, up to date. Fails with the compiler's words."""
    target = f"build/fuzz/{name}"
    command = ["make", "--no-print-directory", "-j2", "-f", "tests/fuzz/fuzz.mk", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / target
