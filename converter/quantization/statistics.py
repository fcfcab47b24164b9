"""What calibration remembers of one value: its extremes and a bounded sample of its elements."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SAMPLE_ELEMENTS = 1 << 18  # of one value, over all calibration samples


@dataclass
class Statistics:
    """Streaming statistics of one value. ``per_run`` bounds the elements remembered of each run."""

    per_run: int
    low: float = np.inf
    high: float = -np.inf
    channel_low: Array | None = None  # [C] f32, rank 4 values only
    channel_high: Array | None = None  # [C] f32
    _parts: list[Array] = field(default_factory=list)

    def add(self, value: Array, generator: np.random.Generator) -> None:
        """Takes in one run's ``value`` (any shape, float32)."""
        if value.size == 0:
            return
        self.low = min(self.low, float(value.min()))
        self.high = max(self.high, float(value.max()))
        if value.ndim == 4:
            self._add_channels(value.min(axis=(0, 2, 3)), value.max(axis=(0, 2, 3)))
        flat = value.reshape(-1)
        if flat.size > self.per_run:
            flat = flat[generator.integers(0, flat.size, self.per_run)]
        self._parts.append(flat.astype(np.float32))

    def _add_channels(self, low: Array, high: Array) -> None:
        if self.channel_low is None or self.channel_high is None:
            self.channel_low, self.channel_high = low, high
        else:
            self.channel_low = np.minimum(self.channel_low, low)
            self.channel_high = np.maximum(self.channel_high, high)

    @property
    def sample(self) -> Array:
        """The remembered elements, [n] f32."""
        return np.concatenate(self._parts) if self._parts else np.zeros(0, np.float32)


def merged(statistics: list[Statistics]) -> Statistics:
    """The statistics of several values that must share one quantization."""
    result = Statistics(max(s.per_run for s in statistics))
    result.low = min(s.low for s in statistics)
    result.high = max(s.high for s in statistics)
    result._parts = [part for s in statistics for part in s._parts]
    return result
