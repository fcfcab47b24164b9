"""The engine as a plain shared library: built by engine.mk, called through ctypes."""

from __future__ import annotations

import ctypes as c
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.format import Model, Tensor
from lacewing.format.description import INVARIANTS, RUN_ERRORS
from tests.building import ROOT, make

LIBRARY = os.environ.get("LW_TEST_LIBRARY", "build/test/liblacewing_test.so")
ALIGNMENT = 64
AUTO = 255
TIERS = {"scalar": 0, "avx2": 1, "avxvnni": 2, "avx512vnni": 3, "neon": 16, "dotprod": 17, "i8mm": 18}
STATUS = {i.number: i.name for i in INVARIANTS} | {number: name for number, name, _ in RUN_ERRORS}
Array = npt.NDArray[Any]


class Error(c.Structure):
    """lw_error."""

    _fields_ = (
        ("status", c.c_int),
        ("where", c.c_char_p),
        ("index", c.c_uint32),
        ("found", c.c_uint64),
        ("wanted", c.c_uint64),
    )


class Options(c.Structure):
    """lw_options."""

    _fields_ = (
        ("max_memory", c.c_uint64),
        ("tier", c.c_int),
        ("workers", c.c_uint32),
        ("parallel", c.c_void_p),
        ("parallel_context", c.c_void_p),
    )


class OpInfo(c.Structure):
    """lw_op_info."""

    _fields_ = (
        ("name", c.c_void_p),
        ("name_bytes", c.c_uint32),
        ("kind", c.c_uint16),
        ("kernel", c.c_char_p),
        ("tier", c.c_int),
        ("macs", c.c_uint64),
        ("kept_macs", c.c_uint64),
        ("weight_bytes", c.c_uint64),
    )


OBSERVER = c.CFUNCTYPE(None, c.c_void_p, c.c_uint32)


class EngineError(Exception):
    """A status other than LW_OK; ``name`` as in the description of the format."""

    def __init__(self, error: Error) -> None:
        self.name = STATUS[error.status]
        self.where, self.index = error.where.decode(), error.index
        self.found, self.wanted = error.found, error.wanted
        super().__init__(f"{self.name} at {self.where} {self.index}: {self.found}, not {self.wanted}")


def load() -> c.CDLL:
    """Builds the library if its sources changed, and loads it.

    Fails with the compiler's words.
    """
    make("runtime/engine/engine.mk", LIBRARY)
    lib = c.CDLL(str(ROOT / LIBRARY))
    lib.lw_pool_create.restype = c.c_void_p
    lib.lw_pool_destroy.argtypes = [c.c_void_p]
    lib.lw_model_read_result.restype = c.c_size_t
    lib.lw_model_arena_bytes.restype = c.c_size_t
    lib.lw_model_op.restype = OpInfo
    for name in ("lw_model_read_result", "lw_model_observe", "lw_model_arena_bytes", "lw_model_op", "lw_run"):
        getattr(lib, name).argtypes = None
    return lib


def aligned(size: int) -> Array:
    """Zeroed bytes that start on a line."""
    raw = np.full(size + 2 * ALIGNMENT, 0xA5, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    raw[start : start + size] = 0
    return raw[start : start + size]


def aligned_copy(file: bytes) -> Array:
    """The file's bytes where the engine may map them."""
    out = aligned(len(file))
    out[:] = np.frombuffer(file, np.uint8)
    return out


class Engine:
    """One model. ``tier`` is a name of ``TIERS`` or None for the best; ``threads`` counts the caller.

    Raises ``EngineError``. Close it, so that its threads end: ``running`` does.
    """

    def __init__(
        self, lib: c.CDLL, file: bytes, tier: str | None = None, threads: int = 1, max_memory: int = 0
    ) -> None:
        self.lib, self.error = lib, Error()
        self.parsed: Model | None = None
        self.file = aligned_copy(file)
        self.pool = lib.lw_pool_create(threads) if threads > 1 else None
        self.options = Options(max_memory, AUTO if tier is None else TIERS[tier], threads, None, self.pool)
        if self.pool:
            self.options.parallel = c.cast(lib.lw_pool_parallel, c.c_void_p).value
        try:
            self.model = self._create()
        except EngineError:
            self.close()
            raise
        self.parsed = Model.from_bytes(file)

    def _create(self) -> c.c_void_p:
        need, model = c.c_size_t(), c.c_void_p()
        file = (c.c_void_p(self.file.ctypes.data), c.c_size_t(len(self.file)), c.byref(self.options))
        self._check(self.lib.lw_model_memory(*file, c.byref(need), c.byref(self.error)))
        self.memory = aligned(need.value)
        memory = (c.c_void_p(self.memory.ctypes.data), need, c.byref(model))
        self._check(self.lib.lw_model_create(*file, *memory, c.byref(self.error)))
        return model

    def close(self) -> None:
        """Ends the threads."""
        if self.pool:
            self.lib.lw_pool_destroy(self.pool)
            self.pool = None

    def _check(self, status: int) -> None:
        if status != 0:
            raise EngineError(self.error)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The graph outputs by name. Every array has the tensor's dims; outputs are fenced."""
        assert self.parsed is not None
        tensors = [self.parsed.tensors[i] for i in self.parsed.inputs]
        given = [np.ascontiguousarray(inputs[t.name]) for t in tensors]
        results = [self.parsed.tensors[i] for i in self.parsed.outputs]
        fenced = [np.full(_bytes(t) + ALIGNMENT, 0xEE, np.uint8) for t in results]
        sources = (c.c_void_p * len(given))(*(a.ctypes.data for a in given))
        targets = (c.c_void_p * len(fenced))(*(a.ctypes.data for a in fenced))
        self._check(self.lib.lw_run(self.model, sources, targets, c.byref(self.error)))
        assert all((a[_bytes(t) :] == 0xEE).all() for t, a in zip(results, fenced, strict=True))
        return {t.name: _view(t, a[: _bytes(t)]) for t, a in zip(results, fenced, strict=True)}

    def run_observed(self, inputs: Mapping[str, Array]) -> list[Array]:
        """Every operator's result, in file order."""
        assert self.parsed is not None
        parsed, results = self.parsed, []

        def observe(_: object, op: int) -> None:
            tensor = parsed.tensors[parsed.ops[op].output]
            plain = np.empty(_bytes(tensor), np.uint8)
            size = c.c_size_t(plain.nbytes)
            need = self.lib.lw_model_read_result(
                self.model, c.c_uint32(op), c.c_void_p(plain.ctypes.data), size
            )
            assert need == plain.nbytes
            results.append(_view(tensor, plain))

        callback = OBSERVER(observe)
        self.lib.lw_model_observe(self.model, callback, None)
        self.run(inputs)
        self.lib.lw_model_observe(self.model, None, None)
        return results

    def op(self, index: int) -> OpInfo:
        """What the engine says about an operator."""
        info = self.lib.lw_model_op(self.model, c.c_uint32(index))
        assert isinstance(info, OpInfo)
        return info

    @property
    def arena_bytes(self) -> int:
        """Bytes of activations."""
        return int(self.lib.lw_model_arena_bytes(self.model))


@contextmanager
def running(
    lib: c.CDLL, file: bytes, tier: str | None = None, threads: int = 1, max_memory: int = 0
) -> Iterator[Engine]:
    """An ``Engine`` for the length of a with block."""
    engine = Engine(lib, file, tier, threads, max_memory)
    try:
        yield engine
    finally:
        engine.close()


def verify(lib: c.CDLL, file: bytes) -> str:
    """The broken rule's name, or "ok"."""
    error, copy = Error(), aligned_copy(file)
    status = lib.lw_verify(c.c_void_p(copy.ctypes.data), c.c_size_t(len(copy)), c.byref(error))
    assert status == error.status
    return STATUS[status] if status else "ok"


def _bytes(tensor: Tensor) -> int:
    return int(np.prod(tensor.dims)) * (4 if tensor.dtype == "f32" else 1)


def _view(tensor: Tensor, raw: Array) -> Array:
    return raw.copy().view(np.float32 if tensor.dtype == "f32" else np.uint8).reshape(tensor.dims)
