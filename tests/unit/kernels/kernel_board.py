"""Runs kernels of another architecture under qemu: one process per processor model serves the calls.

The board (its C library) is built by ``make arm-board``.
"""

from __future__ import annotations

import signal
import struct
import subprocess
from functools import cache
from typing import Any

import kernel_build
import numpy as np
import pytest
from kernel_memory import ADDRESS, BYTES, MEMORY

from tests.arm.board import PROCESSORS as board_tiers

ROOT = kernel_build.ROOT / "build/arm/root"
# Processor model -> the tiers that it has. A kernel runs on the first that has its tier: an instruction of a higher
# tier that slipped into it is an illegal one there.
PROCESSORS = {processor: tuple(map(str.upper, tiers)) for processor, tiers in board_tiers.items()}


def is_built() -> bool:
    """Whether there is a board."""
    return ROOT.is_dir()


class Board:
    """A running server on one processor model."""

    def __init__(self, processor: str) -> None:
        self.processor = processor
        server = kernel_build.server_path("aarch64")
        self._process = subprocess.Popen(
            [
                "qemu-aarch64",
                "-L",
                ROOT,
                "-cpu",
                processor,
                server,
                str(MEMORY.file),
                str(ADDRESS),
                str(BYTES),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[MEMORY.file],
        )
        assert self._process.stdin and self._process.stdout
        self._calls, self._answers = self._process.stdin, self._process.stdout
        self.kernels: list[list[str]] = []  # [family, tier, block_rows, sparse, kernel, stride, tile, name]
        while (words := self._answers.readline().decode().split())[:1] != ["tiers"]:
            if not words:
                raise RuntimeError(f"{server} on {processor}: {self._end()}")
            self.kernels.append(words)
        self.tiers = [int(word) for word in words[1:]]

    def _end(self) -> str:
        code = self._process.wait()
        return f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"

    def call(self, kernel: int, arguments: Any) -> None:
        """Runs a kernel of the table; the arguments' buffers lie in the shared memory."""
        struct_bytes = bytes(kernel_build.ffi().buffer(arguments))
        here = MEMORY.take(len(struct_bytes))
        here[:] = np.frombuffer(struct_bytes, np.uint8)
        self._calls.write(struct.pack("<QQ", kernel, here.ctypes.data))
        self._calls.flush()
        if not self._answers.read(1):
            board.cache_clear()  # the next call starts it again
            pytest.fail(f"{self.kernels[kernel][-1]} on {self.processor}: {self._end()}", pytrace=False)


@cache
def board(processor: str) -> Board:
    """The one server of a processor model; it ends with this process."""
    return Board(processor)
