"""Per-channel symmetric int8 weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.format.description import WEIGHT_MAX

Array = npt.NDArray[Any]

_BIAS_LIMIT = 2.0**24  # an accumulator below it converts to float32 exactly


def weight_scales(weight: Array, bias: Array, input_scale: float) -> Array:
    """[O] float64: the scale of each output channel's weights.

    weight [O, ...] float, bias [O] float. The largest weight becomes 127, unless the bias would then not fit
    the accumulator (a channel of tiny weights): its scale grows until it does.
    """
    largest = np.abs(weight.reshape(len(weight), -1)).max(axis=1).astype(np.float64)
    by_bias = np.abs(bias.astype(np.float64)) / (input_scale * _BIAS_LIMIT)
    scales = np.maximum(largest / WEIGHT_MAX, by_bias)
    return np.where(scales > 1e-30, scales, 1.0)


def quantize_weights(weight: Array, scales: Array) -> Array:
    """int8 in [-127, 127], the shape of ``weight``; scales [O]."""
    per_channel = scales.reshape(-1, *([1] * (weight.ndim - 1)))
    levels: Array = np.clip(np.rint(weight / per_channel), -WEIGHT_MAX, WEIGHT_MAX)
    return levels.astype(np.int8)


def dequantize_weights(levels: Array, scales: Array) -> Array:
    """float32 weights that the int8 ``levels`` stand for."""
    per_channel = scales.reshape(-1, *([1] * (levels.ndim - 1)))
    reals: Array = levels.astype(np.float64) * per_channel
    return reals.astype(np.float32)
