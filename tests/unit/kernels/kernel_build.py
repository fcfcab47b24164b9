"""Builds the kernels for the tests: natively, with what AVX2 lacks emulated by SIMDe, and for boards under qemu.

``native`` and ``emulated`` are shared libraries; ``aarch64`` is a program that serves kernel calls (kernel_board.py).

``LW_TEST_SANITIZE=1`` builds with AddressSanitizer and UndefinedBehaviorSanitizer. Python must then be started with
``LD_PRELOAD=$(gcc -print-file-name=libasan.so)`` and ``ASAN_OPTIONS=detect_leaks=0``.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import cffi

from tests.building import alone

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
ENGINE = ROOT / "runtime/engine"
KERNEL_FOLDERS = {"x86_64": "kernels_x86", "aarch64": "kernels_arm"}
BUILD = ROOT / "build/tests/kernels"

SANITIZE = os.environ.get("LW_TEST_SANITIZE") == "1"
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
INCLUDES = ["include", "src", "reference"]
CROSS = {"aarch64": [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-gnu.2.17"]}


def kernel_folder(build: str) -> Path:
    """The kernels of the architecture that the build is for."""
    return ROOT / KERNEL_FOLDERS[build if build in CROSS else platform.machine()]


def compiler(build: str) -> list[str]:
    """The command that compiles and links."""
    return CROSS.get(build) or [os.environ.get("CC", "gcc")]


def compiler_flags(build: str) -> list[str]:
    """Flags of one build."""
    flags = ["-std=c11", "-g1", "-fPIC", "-ffp-contract=off"]
    flags += [f"-I{ENGINE / folder}" for folder in INCLUDES]
    flags += [f"-I{kernel_folder(build)}"]
    if build == "emulated":
        # What AVX2 has stays native: SIMDe 0.7 without it gets testz wrong. More optimization of SIMDe's code takes
        # minutes; nor does it pass our warnings.
        flags += ["-O1", "-mavx2", "-DLW_EMULATE_SIMD"]
    else:
        flags += ["-O2", *WARNINGS]
    if SANITIZE and build not in CROSS:
        flags += ["-fsanitize=address", "-fno-sanitize-recover=all"]
    if SANITIZE and build == "native":  # for undefined behaviour of ours, not of SIMDe
        flags += ["-fsanitize=undefined"]
    return flags


def sources(build: str) -> list[Path]:
    """The reference, the kernels and the table of them."""
    folders = [ENGINE / "reference", kernel_folder(build)]
    files = [path for folder in folders for path in sorted(folder.glob("*.c"))]
    files += [ENGINE / "src/cpu.c", HERE / "kernel_table.c"]
    return [*files, HERE / "kernel_server.c"] if build in CROSS else files


def headers(build: str) -> list[Path]:
    """Whatever a source may include."""
    folders = [ENGINE / folder for folder in [*INCLUDES, "vector128"]] + [kernel_folder(build)]
    return [p for folder in folders for p in sorted(folder.iterdir()) if p.suffix in (".h", ".def")]


def _digest(parts: list[bytes]) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _run_compiler(build: str, arguments: list[str], output: Path) -> None:
    # A half-written file must never be taken for a finished one: other test processes build the same.
    partial = output.with_suffix(f".{os.getpid()}.partial")
    command = [*compiler(build), *arguments, "-o", str(partial)]
    plain = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}  # a sanitized compiler takes minutes
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=plain)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    partial.replace(output)


def _object(source: Path, build: str, flags: list[str], common: bytes) -> Path:
    output = BUILD / f"{source.stem}-{_digest([common, source.read_bytes()])}.o"
    if not output.exists():
        _run_compiler(build, [*flags, "-c", str(source)], output)
    return output


def _objects(build: str) -> list[Path]:
    """Compiles what changed."""
    BUILD.mkdir(parents=True, exist_ok=True)
    flags = compiler_flags(build)
    key = [" ".join([*compiler(build), *flags]).encode(), *(h.read_bytes() for h in headers(build))]
    common = _digest(key).encode()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda source: _object(source, build, flags, common), sources(build)))


def _link(build: str, flags: list[str], suffix: str) -> Path:
    with alone():
        objects = [str(o) for o in _objects(build)]
        output = BUILD / f"kernels-{build}-{_digest([o.encode() for o in objects])}{suffix}"
        if not output.exists():
            _run_compiler(build, [*flags, *objects], output)
        return output


@cache
def library_path(build: str) -> Path:
    """Builds what changed and returns the shared library. Raises RuntimeError with the compiler's words."""
    return _link(build, ["-shared", *(["-fsanitize=address,undefined"] if SANITIZE else [])], ".so")


@cache
def server_path(architecture: str) -> Path:
    """The same for the program that serves kernel calls on another architecture."""
    return _link(architecture, [], "")


def _declarations() -> str:
    """The C declarations that cffi reads, from the headers themselves."""
    empty = BUILD / "empty"  # cffi knows the standard types
    empty.mkdir(parents=True, exist_ok=True)
    for name in ("stddef.h", "stdint.h", "float.h"):
        (empty / name).write_text("")
    text = '#include "lw_kernel.h"\n#define _Static_assert(...)\n#include "lw_reference.h"\n'
    command = [os.environ.get("CC", "gcc"), "-E", "-P", "-nostdinc", f"-I{empty}", "-xc", "-"]
    command += [f"-I{ENGINE / folder}" for folder in INCLUDES]
    plain = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    plain = re.sub(r"^;$", "", plain, flags=re.MULTILINE)
    plain = re.sub(
        r"static inline [^{;]*\{.*?\}\s*(?=static|typedef|enum|void|float|struct|\Z)",
        "",
        plain,
        flags=re.DOTALL,
    )
    return plain + (
        "const lw_kernel *test_kernels(uint32_t *count);\n"
        "int test_tier_runs(lw_tier tier);\n"
        "void test_round(const float *input, size_t count, int32_t *output);\n"
        "void test_poison(const void *address, size_t bytes);\n"
        "void test_unpoison(const void *address, size_t bytes);\n"
    )


@cache
def ffi() -> Any:
    """The cffi view of the kernel interface."""
    result = cffi.FFI()
    result.cdef(_declarations())
    return result


@cache
def library(build: str) -> Any:
    """The loaded library of one build: ``native`` or ``emulated``."""
    return ffi().dlopen(str(library_path(build)))
