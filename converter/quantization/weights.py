"""Per-channel symmetric int8 weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.format.description import WEIGHT_MAX

Array = npt.NDArray[Any]

_BIAS_LIMIT = 2.0**24  # an accumulator below it converts to float32 exactly
_CLEARLY = 0.999  # the better of two scales: the rounding of the sums does not decide
_SMALLEST_TOP = WEIGHT_MAX // 2 + 1  # a largest weight at a lower level would give away a bit


def weight_scales(weight: Array, bias: Array, input_scale: float) -> Array:
    """[O] float64: the scale of each output channel's weights.

    weight [O, ...] float, bias [O] float. The largest weight becomes the level, 64 to 127, that leaves the smallest
    squared error: weights that were multiples of some step (quantization-aware training) come out exact. Where the
    bias would then not fit the accumulator (a channel of tiny weights), the scale grows until it does.
    """
    return fit_bias(_closest_scales(weight.reshape(len(weight), -1)), bias, input_scale)


def fit_bias(scales: Array, bias: Array, input_scale: float) -> Array:
    """[O] float64: ``scales`` [O] raised where ``bias`` [O] would leave the accumulator's 24 bits; 0 becomes 1."""
    by_bias = np.abs(bias.astype(np.float64)) / (input_scale * _BIAS_LIMIT)
    raised = np.maximum(scales, by_bias)
    return np.where(raised > 1e-30, raised, 1.0)


def _closest_scales(rows: Array) -> Array:
    """[O] f64: the scale of each of ``rows`` [O][K]; 0 for a row of zeros."""
    largest = np.abs(rows).max(axis=1).astype(np.float64)
    unit = rows / np.where(largest > 0, largest, 1.0)[:, None].astype(rows.dtype)
    tops = np.full(len(rows), WEIGHT_MAX)
    least = np.full(len(rows), np.inf)
    for top in range(WEIGHT_MAX, _SMALLEST_TOP - 1, -1):
        off = unit * np.float32(top)
        off -= np.rint(off)
        errors = np.einsum("ok,ok->o", off, off, dtype=np.float64) / top**2
        better = errors < least * _CLEARLY
        tops[better], least[better] = top, errors[better]
    return np.asarray(largest / tops)


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
