"""Inputs of conformance vectors, defined so that ten lines of any language reproduce them.

One xorshift32 generator per vector, started at its seed, walks the graph inputs in order, each row-major; every value
takes the next 32-bit state x: u7 is ``x >> 25``; f32 is ``(int32(x) >> 8) * 2^-20`` (exact, -8 to 8).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.format import Model


def xorshift32(seed: int) -> Iterator[int]:
    """Marsaglia's generator (13, 17, 5); ``seed`` is not 0."""
    x = seed
    while True:
        x ^= (x << 13) & 0xFFFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0xFFFFFFFF
        yield x


def vector_inputs(model: Model, seed: int) -> dict[str, npt.NDArray[Any]]:
    """Every graph input by name."""
    state = xorshift32(seed)
    inputs: dict[str, npt.NDArray[Any]] = {}
    for index in model.inputs:
        tensor = model.tensors[index]
        words = np.fromiter(state, np.uint32, int(np.prod(tensor.dims))).reshape(tensor.dims)
        if tensor.dtype == "u7":
            inputs[tensor.name] = (words >> 25).astype(np.uint8)
        else:
            inputs[tensor.name] = (words.view(np.int32) >> 8).astype(np.float32) * np.float32(2.0**-20)
    return inputs
