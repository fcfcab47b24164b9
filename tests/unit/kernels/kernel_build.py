"""Builds the kernels as a shared library for the tests, natively or with what AVX2 lacks emulated by SIMDe.

``LW_TEST_SANITIZE=1`` builds with AddressSanitizer and UndefinedBehaviorSanitizer. Python must then be started with
``LD_PRELOAD=$(gcc -print-file-name=libasan.so)`` and ``ASAN_OPTIONS=detect_leaks=0``.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import cffi

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
ENGINE = ROOT / "runtime/engine"
KERNEL_FOLDERS = {"x86_64": "kernels_x86", "aarch64": "kernels_arm"}
BUILD = ROOT / "build/tests/kernels"

SANITIZE = os.environ.get("LW_TEST_SANITIZE") == "1"
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
INCLUDES = ["include", "src", "reference"]


def compiler_flags(build: str) -> list[str]:
    """Flags of the ``native`` or the ``emulated`` build."""
    flags = ["-std=c11", "-g1", "-fPIC", "-ffp-contract=off"]
    flags += [f"-I{ENGINE / folder}" for folder in INCLUDES]
    flags += [f"-I{ROOT / KERNEL_FOLDERS[platform.machine()]}"]
    if build == "emulated":
        # What AVX2 has stays native: SIMDe 0.7 without it gets testz wrong. More optimization of SIMDe's code takes
        # minutes; nor does it pass our warnings.
        flags += ["-O1", "-mavx2", "-DLW_EMULATE_SIMD"]
    else:
        flags += ["-O2", *WARNINGS]
    if SANITIZE:
        flags += ["-fsanitize=address", "-fno-sanitize-recover=all"]
    if SANITIZE and build == "native":  # for undefined behaviour of ours, not of SIMDe
        flags += ["-fsanitize=undefined"]
    return flags


def sources() -> list[Path]:
    """The reference, this machine's kernels and the table of them."""
    folders = [ENGINE / "reference", ROOT / KERNEL_FOLDERS[platform.machine()]]
    return [path for folder in folders for path in sorted(folder.glob("*.c"))] + [HERE / "kernel_table.c"]


def headers() -> list[Path]:
    """Whatever a source may include."""
    folders = [ENGINE / folder for folder in INCLUDES] + [ROOT / KERNEL_FOLDERS[platform.machine()]]
    return [p for folder in folders for p in sorted(folder.iterdir()) if p.suffix in (".h", ".def")]


def _digest(parts: list[bytes]) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _run_compiler(arguments: list[str], output: Path) -> None:
    # A half-written file must never be taken for a finished one: other test processes build the same.
    partial = output.with_suffix(f".{os.getpid()}.partial")
    command = [os.environ.get("CC", "gcc"), *arguments, "-o", str(partial)]
    plain = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}  # a sanitized compiler takes minutes
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=plain)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    partial.replace(output)


def _object(source: Path, flags: list[str], common: bytes) -> Path:
    output = BUILD / f"{source.stem}-{_digest([common, source.read_bytes()])}.o"
    if not output.exists():
        _run_compiler([*flags, "-c", str(source)], output)
    return output


@cache
def library_path(build: str) -> Path:
    """Builds what changed and returns the shared library. Raises RuntimeError with the compiler's words."""
    BUILD.mkdir(parents=True, exist_ok=True)
    flags = compiler_flags(build)
    common = _digest([" ".join(flags).encode(), *(h.read_bytes() for h in headers())]).encode()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda source: _object(source, flags, common), sources()))
    output = BUILD / f"kernels-{build}-{_digest([str(o).encode() for o in objects])}.so"
    if not output.exists():
        sanitizer = ["-fsanitize=address,undefined"] if SANITIZE else []
        _run_compiler(["-shared", *sanitizer, *map(str, objects)], output)
    return output


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
