"""Builds the engine with a driver under AddressSanitizer and UndefinedBehaviorSanitizer; cached by content."""

from __future__ import annotations

import hashlib
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ENGINE = ("runtime/engine/src", "runtime/engine/reference", "kernels_x86")
INCLUDES = ("runtime/engine/include", *ENGINE, "tests/fuzz")
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
FLAGS = ["-g", "-O1", "-std=c11", "-ffp-contract=off", "-D_POSIX_C_SOURCE=200809L", *SANITIZERS]


def _engine_sources() -> list[Path]:
    return sorted(path for folder in ENGINE for path in (ROOT / folder).glob("*.c"))


def _fingerprint() -> str:
    digest = hashlib.sha256(" ".join(FLAGS).encode())
    for folder in (*INCLUDES, "tests/fuzz"):
        for path in sorted((ROOT / folder).glob("*.[chd]*")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def driver(*mains: str) -> Path:
    """The executable of the engine, attempt.c and the files of tests/fuzz called ``mains``.

    Raises subprocess.CalledProcessError if the compiler refuses something.
    """
    folder = ROOT / "build" / "fuzz" / _fingerprint()
    executable = folder / Path(mains[0]).stem
    if executable.exists():
        return executable
    folder.mkdir(parents=True, exist_ok=True)
    sources = [*_engine_sources(), *(ROOT / "tests" / "fuzz" / name for name in ("attempt.c", *mains))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda source: _compile(source, folder), sources))
    partial = executable.with_suffix(".partial")
    subprocess.run(["gcc", *SANITIZERS, *map(str, objects), "-o", str(partial)], check=True)
    partial.rename(executable)
    return executable


def _compile(source: Path, folder: Path) -> Path:
    target = folder / f"{source.parent.name}_{source.stem}.o"
    if not target.exists():
        partial = target.with_suffix(f".{os.getpid()}")
        includes = [f"-I{ROOT / include}" for include in INCLUDES]
        subprocess.run(["gcc", *FLAGS, *includes, "-c", str(source), "-o", str(partial)], check=True)
        partial.rename(target)
    return target
