"""Inputs for commands that only need some: random, the same every time."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from lacewing.infos import Array, TensorInfo


def random_inputs(tensors: Sequence[TensorInfo], seed: int = 0) -> dict[str, Array]:
    """float32 in [-1, 1) or uint8 in 0..127 for every tensor; depends on seed, name and shape only."""
    arrays: dict[str, Array] = {}
    for tensor in tensors:
        random = np.random.RandomState(zlib.crc32(f"{seed} {tensor.name}".encode()))
        if tensor.dtype == "uint8":
            arrays[tensor.name] = random.randint(0, 128, tensor.shape).astype(np.uint8)
        else:
            arrays[tensor.name] = (random.random_sample(tensor.shape) * 2 - 1).astype(np.float32)
    return arrays
