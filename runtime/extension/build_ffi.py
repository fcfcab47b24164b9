"""Builds ``lacewing._engine``: the C engine and this architecture's kernels behind cffi, one file for every Python.

Run by setuptools through ``cffi_modules`` in setup.py. LW_TARGET_ARCH names the architecture that is built for
when it is not this machine's (cross compiling).
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent.parent
X86 = ("x86_64", "amd64", "i386", "i686")
KERNEL_FOLDERS = {**dict.fromkeys(X86, "kernels_x86"), **dict.fromkeys(("aarch64", "arm64"), "kernels_arm")}
HEADERS = ("include/lw_format.h", "include/lacewing.h", "hosted/lw_hosted.h")

BINDING = """
typedef struct { uint64_t *nanoseconds; uint32_t capacity; } lacewing_stamps;
lw_status lacewing_run_stamped(lw_model *model, const void *const *inputs, void *const *outputs, lw_error *error,
                               lacewing_stamps *stamps, uint64_t *start);
extern "Python" void lacewing_observe(void *context, uint32_t op);
"""
SOURCE = '#include "lacewing.h"\n#include "lw_hosted.h"\n#include "binding.h"\n'


def _load(path: Path) -> ModuleType:
    """A module by its file: the package itself cannot be imported before its extension exists."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def target() -> str:
    """The architecture that the extension is built for, as ``platform.machine()`` names it."""
    return os.environ.get("LW_TARGET_ARCH", platform.machine()).lower()


def sources(architecture: str) -> list[str]:
    """C files relative to the repository: the engine, the scalar reference, and the architecture's kernels."""
    folders = ["runtime/engine/src", "runtime/engine/reference", "runtime/engine/hosted"]
    if architecture in KERNEL_FOLDERS:
        folders.append(KERNEL_FOLDERS[architecture])
    return [f.relative_to(ROOT).as_posix() for folder in folders for f in sorted((ROOT / folder).glob("*.c"))]


def options() -> dict[str, Any]:
    """Compiler and linker flags of this platform. No flag names a CPU: kernels carry their own targets."""
    flags = [
        "-O3",
        "-std=c11",
        "-ffp-contract=off",
        "-fvisibility=hidden",
        "-fno-asynchronous-unwind-tables",
        "-pthread",
        "-D_POSIX_C_SOURCE=200809L",
    ]
    small = [] if sys.platform == "darwin" else ["-Wl,-s,--build-id=none"]
    if small and "LW_TARGET_ARCH" not in os.environ:
        # GNU ld puts a page of padding around each part without it; zig, which builds for others, knows no such flag.
        small.append("-Wl,-z,noseparate-code")
    return {"extra_compile_args": flags, "extra_link_args": ["-pthread", *small]}


def make(architecture: str) -> FFI:
    """The cffi builder of ``lacewing._engine`` for ``architecture``."""
    engine = ROOT / "runtime" / "engine"
    parse = _load(ROOT / "runtime" / "extension" / "declarations.py")
    ffi = FFI()
    ffi.cdef(parse.declarations([engine / header for header in HEADERS]) + BINDING)
    includes = [f"runtime/engine/{folder}" for folder in ("include", "src", "reference", "hosted")]
    ffi.set_source(
        "lacewing._engine",
        SOURCE,
        sources=sources(architecture),
        include_dirs=["runtime/extension", *includes],
        py_limited_api=True,
        **options(),
    )
    return ffi


ffibuilder = make(target())
