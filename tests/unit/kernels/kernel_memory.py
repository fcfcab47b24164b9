"""The memory that test cases live in. A program on another architecture can map it at the same address."""

from __future__ import annotations

import os
from typing import Any

import cffi
import numpy as np
from numpy.typing import NDArray

ADDRESS = 0x2000_0000_0000  # free in a process of either architecture, emulated or not
BYTES = 64 << 20
LINE = 64

_libc = cffi.FFI()
_libc.cdef("void *mmap(void *address, size_t bytes, int protection, int flags, int file, long offset);")
_READ_WRITE, _SHARED_FIXED, _SHARED_FIXED_NOREPLACE = 0x3, 0x11, 0x100001


class SharedMemory:
    """A ring of bytes: what was taken a whole lap ago is taken again, long after its case is gone."""

    def __init__(self) -> None:
        self.file = os.memfd_create("kernel-test-cases")
        os.truncate(self.file, BYTES)
        memory = self._map(ADDRESS, _SHARED_FIXED_NOREPLACE)
        self._bytes: NDArray[np.uint8] = np.frombuffer(_libc.buffer(memory, BYTES), np.uint8)
        self._next = 0

    def _map(self, address: int, flags: int) -> Any:
        wanted = _libc.cast("void *", address)
        library: Any = _libc.dlopen(None)
        if library.mmap(wanted, BYTES, _READ_WRITE, flags, self.file, 0) != wanted:
            raise MemoryError(f"address {address:#x} is taken in this process")
        return wanted

    def show_at(self, address: int) -> None:
        """Lets the bytes appear at another address of this process, in place of what is there."""
        self._map(address, _SHARED_FIXED)

    def take(self, size: int) -> NDArray[np.uint8]:
        """[size] uint8, on a cache line."""
        start = self._next if self._next + size <= BYTES else 0
        self._next = -(-(start + size) // LINE) * LINE
        return self._bytes[start : start + size]


MEMORY = SharedMemory()
