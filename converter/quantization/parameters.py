"""Scale and zero point of a u7 activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.format.description import ACTIVATION_MAX

Array = npt.NDArray[Any]

_SMALLEST_SPAN = 1e-20  # keeps scales normal and every multiplier finite


@dataclass(frozen=True)
class Quantization:
    """real = (q - zero_point) * scale with q in 0..127; ``scale`` holds a float32 value exactly."""

    scale: float
    zero_point: int

    @staticmethod
    def from_range(low: float, high: float) -> Quantization:
        """The quantization whose 128 levels span [low, high] widened to hold 0, which is a level itself."""
        low, high = min(float(low), 0.0), max(float(high), 0.0)
        span = high - low
        if span < _SMALLEST_SPAN:
            return Quantization(float(np.float32(1.0 / ACTIVATION_MAX)), 0)
        zero_point = int(np.rint(-low * ACTIVATION_MAX / span))
        return Quantization(float(np.float32(span / ACTIVATION_MAX)), zero_point)

    @property
    def range(self) -> tuple[float, float]:
        """Real values of the levels 0 and 127."""
        return -self.zero_point * self.scale, (ACTIVATION_MAX - self.zero_point) * self.scale

    def encode(self, real: Array) -> Array:
        """u8 levels of ``real``, same shape; out of range saturates. The engine's ``quantize`` operator."""
        product = np.asarray(real, np.float32) * np.float32(1.0 / self.scale)
        levels = np.rint(np.clip(product, -1024, 1024)) + self.zero_point
        return np.clip(levels, 0, ACTIVATION_MAX).astype(np.uint8)

    def decode(self, levels: Array) -> Array:
        """float32 reals of u8 ``levels``, same shape."""
        return (levels.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)

    def simulate(self, real: Array) -> Array:
        """float32 ``real`` as it comes back from a u7 activation, same shape."""
        return self.decode(self.encode(real))

    def level(self, real: float) -> int:
        """The level nearest to one real value; infinities give the ends."""
        exact = np.clip(real / self.scale, -1024, 1024)
        return int(np.clip(np.rint(exact) + self.zero_point, 0, ACTIVATION_MAX))
