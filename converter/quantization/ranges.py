"""The range that a value's 128 levels span, chosen from its statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.quantization.parameters import Quantization
from lacewing.converter.quantization.statistics import Statistics

Array = npt.NDArray[Any]
Range = tuple[float, float]

HISTOGRAM_BINS = 2048
PERCENTILE_TAIL = 0.005  # per cent cut at each end
_SHRINK_STEPS = np.linspace(1.0, 0.2, 41)


def minmax_range(statistics: Statistics) -> Range:
    """Everything seen."""
    return statistics.low, statistics.high


def percentile_range(statistics: Statistics) -> Range:
    """All but the outermost elements at each end."""
    low, high = np.percentile(statistics.sample, [PERCENTILE_TAIL, 100 - PERCENTILE_TAIL])
    return float(low), float(high)


def mse_range(statistics: Statistics) -> Range:
    """The range with the smallest mean squared error of the sample: clipping against rounding."""
    low, high = min(statistics.low, 0.0), max(statistics.high, 0.0)
    if not low < high:
        return low, high
    counts, edges = np.histogram(statistics.sample, bins=HISTOGRAM_BINS, range=(low, high))
    occupied = counts > 0
    centres = ((edges[:-1] + edges[1:]) / 2)[occupied]
    weights = counts[occupied].astype(np.float64)

    def error(candidate: Range) -> float:
        q = Quantization.from_range(*candidate)
        levels = np.clip(np.rint(centres / q.scale) + q.zero_point, 0, 127)
        return float(weights @ np.square((levels - q.zero_point) * q.scale - centres))

    best = min(((low * k, high * k) for k in _SHRINK_STEPS), key=error)
    best = min(((low * k, best[1]) for k in _SHRINK_STEPS), key=error) if low < 0 else best
    return min(((best[0], high * k) for k in _SHRINK_STEPS), key=error) if high > 0 else best


FITTED = "fitted"

RANGES: dict[str, Callable[[Statistics], Range]] = {
    FITTED: minmax_range,  # then narrowed by what reads the value: narrow.py
    "minmax": minmax_range,
    "percentile": percentile_range,
    "mse": mse_range,
}
