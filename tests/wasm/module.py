"""The engine's WebAssembly modules, run by wasmtime from Python."""

from __future__ import annotations

import struct
import sys
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import wasmtime

from lacewing.format import Model, Tensor
from lacewing.format.description import INVARIANTS, RUN_ERRORS
from lacewing.format.generate import web_slots
from tests.building import ROOT, make

BUILD = ROOT / "build/wasm"
MODULES = ("lacewing-simd128", "lacewing-relaxed")
PAGE = 65536
ALIGNMENT = 64
STATUS = {0: "ok"} | {i.number: i.name for i in INVARIANTS} | {number: name for number, name, _ in RUN_ERRORS}
SLOTS = web_slots()
Array = npt.NDArray[Any]


class RefusedError(Exception):
    """A status other than ok; ``name`` as in the description of the format."""

    def __init__(self, fields: dict[str, float], where: str) -> None:
        self.name, self.where = STATUS[int(fields["status"])], where
        self.index, self.found, self.wanted = int(fields["index"]), fields["found"], fields["wanted"]
        super().__init__(f"{self.name} at {where} {self.index}: {self.found}, not {self.wanted}")


@cache
def build() -> None:
    """Compiles what changed. Fails with the compiler's words."""
    zig = f"ZIG={sys.executable} -m ziglang"
    make("runtime/engine/wasm.mk", "wasm", zig)


@cache
def compiled(name: str, deterministic: bool) -> tuple[wasmtime.Engine, wasmtime.Module]:
    """The module ``build/wasm/NAME.wasm``; ``deterministic`` as wasmtime defines it for relaxed instructions."""
    build()
    config = wasmtime.Config()
    config.wasm_relaxed_simd_deterministic = deterministic
    engine = wasmtime.Engine(config)
    return engine, wasmtime.Module.from_file(engine, str(BUILD / f"{name}.wasm"))


class Instance:
    """One instance with a bump allocator above ``__heap_base``."""

    def __init__(self, name: str, deterministic: bool = False) -> None:
        engine, module = compiled(name, deterministic)
        self.store = wasmtime.Store(engine)
        self.exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        memory = self.exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self.memory = memory
        base = self.exports["__heap_base"]
        assert isinstance(base, wasmtime.Global)
        self.top = int(base.value(self.store))

    def call(self, name: str, *arguments: int) -> Any:
        """An exported function's result."""
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        return function(self.store, *arguments)

    def reserve(self, size: int) -> int:
        """Address of ``size`` zeroed bytes, a multiple of 64."""
        address = -(-self.top // ALIGNMENT) * ALIGNMENT
        self.top = address + size
        missing = self.top - self.memory.data_len(self.store)
        if missing > 0:
            self.memory.grow(self.store, -(-missing // PAGE))
        return address

    def write(self, address: int, data: bytes) -> None:
        """Copies into the module's memory."""
        self.memory.write(self.store, data, address)

    def place(self, data: bytes) -> int:
        """Address of a copy."""
        address = self.reserve(len(data))
        self.write(address, data)
        return address

    def read(self, address: int, size: int) -> bytes:
        """A copy of the module's memory."""
        return bytes(self.memory.read(self.store, address, address + size))

    def fields(self, what: str, *arguments: int) -> dict[str, float]:
        """The answer of ``lw_web_WHAT`` by slot name."""
        slots = SLOTS["tensor" if what in ("input", "output") else what]
        size = 8 * slots["slots"]
        values = struct.unpack(f"<{size // 8}d", self.read(self.call(f"lw_web_{what}", *arguments), size))
        return dict(zip(slots, values, strict=False))


class Session:
    """One model in one instance of a module. Raises ``RefusedError``."""

    def __init__(self, module: str, file: bytes, deterministic: bool = False, max_memory: int = 0) -> None:
        self.instance = Instance(module, deterministic)
        self.instance.call("lw_web_configure", max_memory, 255, 1)
        address = self.instance.place(file)
        need = self.instance.call("lw_web_work_bytes", address, len(file)) & 0xFFFFFFFF
        self._check(0 if need else 1)
        work = self.instance.reserve(need)
        self._check(self.instance.call("lw_web_create", address, len(file), work, need))
        self.model = Model.from_bytes(file)
        self.inputs = [self._array(self.model.tensors[i]) for i in self.model.inputs]
        self.outputs = [self._array(self.model.tensors[i]) for i in self.model.outputs]

    def _array(self, tensor: Tensor) -> int:
        return self.instance.reserve(_bytes(tensor))

    def _check(self, status: int) -> None:
        if status != 0:
            fields = self.instance.fields("error")
            where = self.instance.read(int(fields["where"]), int(fields["where_bytes"])).decode()
            raise RefusedError(fields, where)

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """The graph outputs by name."""
        tensors = self.model.tensors
        for address, i in zip(self.inputs, self.model.inputs, strict=True):
            self.instance.write(address, inputs[tensors[i].name].tobytes())
        given, wanted = (
            self.instance.place(np.array(a, np.uint32).tobytes()) for a in (self.inputs, self.outputs)
        )
        self._check(self.instance.call("lw_web_run", given, wanted))
        results = {}
        for address, i in zip(self.outputs, self.model.outputs, strict=True):
            raw = np.frombuffer(self.instance.read(address, _bytes(tensors[i])), np.uint8)
            dtype = np.float32 if tensors[i].dtype == "f32" else np.uint8
            results[tensors[i].name] = raw.view(dtype).reshape(tensors[i].dims)
        return results


def _bytes(tensor: Tensor) -> int:
    return int(np.prod(tensor.dims)) * (4 if tensor.dtype == "f32" else 1)
