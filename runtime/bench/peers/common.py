"""What the adapters share: random inputs, and a guess at the number type of an ONNX file."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.errors import UnsupportedError

_PATTERN = 4099  # values; making them must not show in the time of a first result


def static_shape(name: str, dims: Sequence[object]) -> tuple[int, ...]:
    """The dims with an open batch as 1. Raises ``UnsupportedError`` for another open dim."""
    shape = [d if isinstance(d, int) and d > 0 else None for d in dims]
    if shape and shape[0] is None:
        shape[0] = 1
    if any(d is None for d in shape):
        raise UnsupportedError(f"input {name!r} has open dims {list(dims)}; export the model with fixed ones")
    return tuple(d for d in shape if d is not None)


def random_array(shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Random values: floats in [-1, 1), integers over what an int8 or uint8 holds from 0 to 127; a pattern repeats."""
    random = np.random.RandomState(0)
    floating = np.issubdtype(np.dtype(dtype), np.floating)
    pattern = random.random_sample(_PATTERN) * 2 - 1 if floating else random.randint(0, 128, _PATTERN)
    return np.resize(pattern.astype(dtype), tuple(shape))


def onnx_dtype(path: Path) -> str:
    """ "int8" if the file names quantized operators, else "fp32"; the onnx package may not be installed."""
    data = path.read_bytes()
    return "int8" if b"QLinearConv" in data or b"DequantizeLinear" in data else "fp32"


def architecture() -> str:
    """x86, arm or what the machine calls itself."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64", "i686"):
        return "x86"
    return "arm" if machine in ("aarch64", "arm64") or machine.startswith("armv") else machine
