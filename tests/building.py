"""What tests compile, one build at a time: test processes share the folder ``build``."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def alone() -> Iterator[None]:
    """Waits until no other test process builds. Not to be nested."""
    (ROOT / "build").mkdir(exist_ok=True)
    with open(ROOT / "build/.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(makefile: str, *arguments: str) -> None:
    """Brings targets of ``makefile`` up to date. Fails with the compiler's words."""
    command = ["make", "--no-print-directory", "-s", "-f", makefile, *arguments]
    with alone():
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
