"""Runs WebAssembly kernels in wasmtime. The memory of the test cases is shown inside the module's, so nothing is copied."""

from __future__ import annotations

import ctypes
import platform
import struct
import sys
from functools import cache
from typing import Any

import kernel_build
import wasmtime
from kernel_memory import ADDRESS, BYTES, MEMORY

from tests.building import make

PAGE = 65536
CASES = 16 << 20  # where the test cases' memory appears in a module's; below lie its stack and data
# Build -> the module, whether relaxed instructions do what the specification calls deterministic, and the tiers.
BUILDS = {
    "wasm-simd128": ("simd128", False, ("SIMD128",)),
    "wasm-relaxed": ("relaxed", False, ("RELAXED", "RELAXED_DOT")),
    "wasm-deterministic": ("relaxed", True, ("RELAXED", "RELAXED_DOT")),
}


def is_built() -> bool:
    """Emulated machines and instrumented processes leave WebAssembly to the machine that drives them."""
    return platform.machine() == "x86_64" and not kernel_build.SANITIZE


def _pack(ctype: Any, value: Any) -> bytes:
    """A value as wasm32 lays it out: pointers and sizes are 32 bits wide, every type is aligned to its size."""
    if ctype.kind == "pointer":
        host = int(kernel_build.ffi().cast("uintptr_t", value))
        assert host == 0 or ADDRESS <= host < ADDRESS + BYTES, f"{host:#x} is outside of the shared memory"
        return struct.pack("<I", host - ADDRESS + CASES if host else 0)
    if ctype.kind == "array":
        return b"".join(_pack(ctype.item, item) for item in value)
    if ctype.kind == "struct":
        fields = b""
        for name, field in ctype.fields:
            packed = _pack(field.type, getattr(value, name))
            alignment = 1 if len(packed) == 1 else 4
            fields += bytes(-len(fields) % alignment) + packed
        return fields + bytes(-len(fields) % 4)
    codes = {"size_t": "I", "uint32_t": "I", "int32_t": "i", "float": "f", "uint8_t": "B"}
    return struct.pack("<" + codes[ctype.cname], value)


class Module:
    """An instance of a module that holds kernels and the table of them."""

    def __init__(self, name: str, deterministic: bool) -> None:
        path = f"build/wasm/test/kernels-{name}.wasm"
        zig = f"ZIG={sys.executable} -m ziglang"
        make("runtime/engine/wasm.mk", path, zig)
        config = wasmtime.Config()
        config.wasm_relaxed_simd_deterministic = deterministic
        engine = wasmtime.Engine(config)
        self._store = wasmtime.Store(engine)
        module = wasmtime.Module.from_file(engine, str(kernel_build.ROOT / path))
        self._exports = wasmtime.Instance(self._store, module, []).exports(self._store)
        self._show_cases()
        self.kernels = self._read_table()  # (family, tier, shape, name, function)

    def _show_cases(self) -> None:
        memory = self._exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        memory.grow(self._store, (CASES + BYTES - memory.data_len(self._store)) // PAGE)
        self._base = ctypes.addressof(memory.data_ptr(self._store).contents)
        MEMORY.show_at(self._base + CASES)

    def _words(self, address: int, count: int) -> tuple[Any, ...]:
        return struct.unpack(f"<{count}I", ctypes.string_at(self._base + address, 4 * count))

    def _read_table(self) -> list[tuple[int, int, list[int], str, Any]]:
        table, kernels = self._exports["test_kernels"], self._exports["__indirect_function_table"]
        assert isinstance(table, wasmtime.Func) and isinstance(kernels, wasmtime.Table)
        count_at = MEMORY.take(4)
        rows = table(self._store, count_at.ctypes.data - ADDRESS + CASES)
        result = []
        for index in range(int(count_at.view("<u4")[0])):
            family, tier, *shape, function, name = self._words(rows + 36 * index, 9)
            shape[1] -= (shape[1] & 0x80000000) << 1
            text = ctypes.string_at(self._base + name).decode()
            result.append((family, tier, shape, text, kernels.get(self._store, function)))
        return result

    def call(self, kernel: int, arguments: Any) -> None:
        """Runs a kernel of the table."""
        packed = _pack(kernel_build.ffi().typeof(arguments).item, arguments)
        here = MEMORY.take(len(packed))
        here[:] = bytearray(packed)
        self.kernels[kernel][-1](self._store, here.ctypes.data - ADDRESS + CASES)


@cache
def module(build: str) -> Module:
    """The one instance of a build."""
    name, deterministic, _ = BUILDS[build]
    return Module(name, deterministic)
