"""Values that cases are made of: activations, scales, zero points, clamps; and the oracle's requantize."""

from __future__ import annotations

from typing import Any

import numpy as np
from kernel_bench import U8
from numpy.typing import NDArray

I64 = NDArray[np.int64]
F32 = NDArray[np.float32]
LARGEST_PRODUCT = np.nextafter(np.float32(2**31), np.float32(0))


def draw_activations(rng: np.random.Generator, size: int, mode: str = "any") -> U8:
    """[size] u7: ``any``, ``zero``, ``full`` (all 127) or ``edges`` (0 and 127)."""
    if mode == "any":
        return rng.integers(0, 128, size, np.uint8)
    if mode == "edges":
        return rng.choice(np.array([0, 127], np.uint8), size)
    return np.full(size, {"zero": 0, "full": 127}[mode], np.uint8)


def draw_scales(rng: np.random.Generator, bound: I64, typical: NDArray[Any], mode: str) -> F32:
    """[n] f32, positive, such that bound * scale < 2^31 after each rounding.

    ``typical`` spreads accumulators of that size over the output's range; ``tiny`` and ``huge`` are the ends;
    ``tie`` makes halves.
    """
    if mode == "tie":
        return rng.choice(np.array([0.5, 0.25, 0.125], np.float32), len(bound))
    if mode == "tiny":
        return rng.choice(np.array([1.2e-38, 1e-30, 1e-12], np.float32), len(bound))
    limit: F32 = LARGEST_PRODUCT / np.maximum(bound, 1).astype(np.float32)
    for _ in range(3):
        product = limit * bound.astype(np.float32)
        limit = np.where(product > LARGEST_PRODUCT, np.nextafter(limit, np.float32(0)), limit)
    if mode == "huge":
        return limit
    wanted: F32 = (rng.uniform(20, 120, len(bound)) / np.maximum(typical, 1)).astype(np.float32)
    return np.minimum(wanted, limit, dtype=np.float32)


def draw_zero_point(rng: np.random.Generator) -> int:
    return int(rng.choice([0, 127, rng.integers(0, 128)]))


def draw_requant(rng: np.random.Generator) -> dict[str, int]:
    """Zero point and clamps: all, from the zero point up (ReLU), any range, or a single value."""
    zero_point = draw_zero_point(rng)
    low, high = sorted(int(v) for v in rng.integers(0, 128, 2))
    ranges = [(0, 127), (zero_point, 127), (low, high), (low, low)]
    low, high = ranges[int(rng.choice(4, p=[0.4, 0.3, 0.2, 0.1]))]
    return {"zero_point": zero_point, "clamp_min": low, "clamp_max": high}


def requantize(accumulator: I64, multiplier: Any, to: dict[str, int]) -> U8:
    """docs/numerics.md, requantize, in numpy; multiplier broadcasts."""
    product = accumulator.astype(np.float32) * np.asarray(multiplier, np.float32)
    rounded = np.rint(product).astype(np.int64) + to["zero_point"]
    result: U8 = np.clip(rounded, to["clamp_min"], to["clamp_max"]).astype(np.uint8)
    return result
