"""The test bench: runs a kernel and the scalar reference on the same case and compares every byte around the output.

A case is a set of guarded buffers and the arguments that point into them. Each byte of a buffer is *exact* (must equal
the reference), *loose* (may be left alone or written with any u7) or untouchable. The scalar kernels themselves are
compared with a numpy oracle that the case brings along.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

import kernel_board
import kernel_build
import kernel_wasm
import numpy as np
import pytest
from kernel_memory import LINE, MEMORY
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
GUARD_BYTES = 128
GUARD = 0xA5  # above 127: never a value that a kernel writes as u7
EMULATED_TIERS = ("AVXVNNI", "AVX512VNNI")


def ceil_to(value: int, multiple: int) -> int:
    """The least multiple of `multiple` that is not below `value`."""
    return -(-value // multiple) * multiple


def plane_bytes(pixels: int) -> int:
    """Bytes of one plane of quads, as lw_plane_bytes in lw_kernel.h."""
    return 4 if pixels == 1 else (-(-pixels * 4 // LINE) | 1) * LINE


@dataclass(frozen=True)
class Kernel:
    """One row of the kernel list in one build: ``native``, ``emulated``, a processor model of a board, or a module."""

    index: int
    name: str
    family: str
    tier: str
    block_rows: int
    sparse: int
    kernel: int
    stride: int
    tile: int
    build: str

    @property
    def is_scalar(self) -> bool:
        return self.tier == "SCALAR"

    def __str__(self) -> str:
        rows = f"-R{self.block_rows}" if self.block_rows else ""
        return f"{self.name}{rows}-{self.build}"


def _named(index: int, family: int, tier: int, name: str, shape: list[int], build: str) -> Kernel:
    ffi = kernel_build.ffi()
    family_name = ffi.string(ffi.cast("lw_family", family)).removeprefix("LW_FAMILY_")
    tier_name = ffi.string(ffi.cast("lw_tier", tier)).removeprefix("LW_TIER_")
    return Kernel(index, name, family_name, tier_name, *shape, build)


def _own_kernels() -> list[Kernel]:
    """Of this machine: natively where its processor can run them, and by emulation the tiers above AVX2."""
    ffi, lib = kernel_build.ffi(), kernel_build.library("native")
    count = ffi.new("uint32_t *")
    table = lib.test_kernels(count)
    result = []
    for index in range(count[0]):
        row = table[index]
        shape = [row.block_rows, row.sparse, row.kernel, row.stride, row.tile]
        kernel = _named(index, row.family, row.tier, ffi.string(row.name).decode(), shape, "native")
        if lib.test_tier_runs(row.tier):
            result.append(kernel)
        if kernel.tier in EMULATED_TIERS and lib.test_tier_runs(lib.LW_TIER_AVX2):
            result.append(replace(kernel, build="emulated"))
    return result


def _board_kernels() -> list[Kernel]:
    """Of the emulated boards: each on the least processor that has its tier."""
    if not kernel_board.is_built() or kernel_build.SANITIZE:
        return []
    result: dict[int, Kernel] = {}
    for processor, tiers in kernel_board.PROCESSORS.items():
        for index, (family, tier, *shape, name) in enumerate(kernel_board.board(processor).kernels):
            kernel = _named(index, int(family), int(tier), name, [int(x) for x in shape], processor)
            if kernel.tier in tiers:
                result.setdefault(index, kernel)
    return list(result.values())


def _wasm_kernels() -> list[Kernel]:
    """Of the WebAssembly modules: each in the module that it is for."""
    if not kernel_wasm.is_built():
        return []
    result = []
    for build, (_, _, tiers) in kernel_wasm.BUILDS.items():
        for index, (family, tier, shape, name, _) in enumerate(kernel_wasm.module(build).kernels):
            kernel = _named(index, family, tier, name, shape, build)
            if kernel.tier in tiers:
                result.append(kernel)
    return result


@cache
def kernel_list() -> list[Kernel]:
    """Every kernel that can be run here, once per way to run it."""
    return _own_kernels() + _board_kernels() + _wasm_kernels()


class Buffer:
    """`size` bytes, 64-byte aligned, between guards. `data` is the view of the bytes themselves."""

    def __init__(self, size: int, initial: NDArray[Any] | int = GUARD) -> None:
        self._memory = MEMORY.take(size + 2 * GUARD_BYTES + LINE)
        self._memory[:] = GUARD
        self.start = GUARD_BYTES + (-(self._memory.ctypes.data + GUARD_BYTES) % LINE)
        self.size = size
        self.data: U8 = self._memory[self.start : self.start + size]
        self.data[:] = initial if isinstance(initial, int) else initial.reshape(-1).view(np.uint8)
        self._initial = self._memory.copy()
        self.exact = np.zeros(size, bool)
        self.loose = np.zeros(size, bool)
        self.free = False  # scratch: anything may be written inside

    def pointer(self, ctype: str, offset: int = 0) -> Any:
        return kernel_build.ffi().cast(f"{ctype} *", self.data.ctypes.data + offset)

    def reset(self) -> None:
        self._memory[:] = self._initial

    def guards(self) -> list[tuple[int, int]]:
        """(address, bytes) of what lies before and after."""
        base, end = self._memory.ctypes.data, self.start + self.size
        return [(base, self.start), (base + end, self._memory.size - end)]

    def stray_write(self) -> str | None:
        """What was written where nothing may be, or None."""
        changed = self._memory != self._initial
        if not changed.any():
            return None
        inside = changed[self.start : self.start + self.size]
        inside &= ~self.exact & ~(self.loose & (self.data <= 127)) & (not self.free)
        if not changed.any():
            return None
        at = int(np.flatnonzero(changed)[0]) - self.start
        value = int(self._memory[at + self.start])
        return f"{int(changed.sum())} bytes written outside, first at byte {at} of {self.size}: {value}"


@dataclass
class Case:
    """Arguments of one call, its buffers, and the numbers that made it."""

    arguments: Any
    buffers: dict[str, Buffer]
    parameters: dict[str, Any]
    oracle: Callable[[], dict[str, U8]]  # buffer name -> [size] u8, right where `exact`
    keep: list[Any] = field(default_factory=list)  # what the arguments point to besides the buffers

    def run(self, function: Any, lib: Any, who: str) -> dict[str, U8]:
        """Calls the kernel; fails on a stray write; returns the exact bytes of each buffer."""
        ffi = kernel_build.ffi()
        for buffer in self.buffers.values():
            buffer.reset()
        guards = (
            [g for buffer in self.buffers.values() for g in buffer.guards()] if kernel_build.SANITIZE else []
        )
        for address, size in guards:
            lib.test_poison(ffi.cast("void *", address), size)
        function(self.arguments)
        for address, size in guards:
            lib.test_unpoison(ffi.cast("void *", address), size)
        for name, buffer in self.buffers.items():
            stray = buffer.stray_write()
            if stray:
                pytest.fail(f"{who}: {name}: {stray}\n{self.parameters}", pytrace=False)
        return {name: buffer.data[buffer.exact] for name, buffer in self.buffers.items()}


def _difference(name: str, buffer: Buffer, got: U8, wanted: U8) -> str:
    wrong = np.flatnonzero(got != wanted)
    places = np.flatnonzero(buffer.exact)[wrong[:8]]
    pairs = ", ".join(f"[{at}] {got[i]} not {wanted[i]}" for at, i in zip(places, wrong[:8], strict=True))
    return f"{name}: {len(wrong)} of {len(got)} bytes differ: {pairs}"


def function_of(kernel: Kernel) -> Any:
    """The kernel's function in its build."""
    if kernel.build in kernel_board.PROCESSORS:
        return partial(kernel_board.board(kernel.build).call, kernel.index)
    if kernel.build in kernel_wasm.BUILDS:
        return partial(kernel_wasm.module(kernel.build).call, kernel.index)
    count = kernel_build.ffi().new("uint32_t *")
    return kernel_build.library(kernel.build).test_kernels(count)[kernel.index].function


def check_case(kernel: Kernel, case: Case, function: Any = None) -> None:
    """Fails unless the kernel (or `function` in its place) gives the reference's bytes, and no others."""
    lib = kernel_build.library("emulated" if kernel.build == "emulated" else "native")
    got = case.run(function or function_of(kernel), lib, kernel.name)
    if kernel.is_scalar:
        wanted = {n: full[case.buffers[n].exact] for n, full in case.oracle().items()}
    else:
        reference = f"lw_{kernel.family.lower()}__scalar"
        wanted = case.run(getattr(lib, reference), lib, reference)
    for name, bytes_wanted in wanted.items():
        if not np.array_equal(got[name], bytes_wanted):
            text = _difference(name, case.buffers[name], got[name], bytes_wanted)
            pytest.fail(f"{kernel}: {text}\n{case.parameters}", pytrace=False)


def check(kernel: Kernel, make: Callable[..., Case], cases: int, **fixed: Any) -> None:
    """Draws `cases` cases from consecutive seeds. LW_TEST_SEED=n runs seed n alone."""
    if kernel.build != "native":
        cases = max(1, cases // 3)
    one = os.environ.get("LW_TEST_SEED")
    for seed in [int(one)] if one else range(cases):
        case = make(np.random.default_rng(seed), kernel, **fixed)
        case.parameters = {"seed": seed, "fixed": fixed, **case.parameters}
        check_case(kernel, case)
