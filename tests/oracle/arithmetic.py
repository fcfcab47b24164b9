"""The scalar steps of docs/numerics.md on whole arrays: integers in int64, every float step rounded to binary32."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

CANONICAL_NAN = np.array(0x7FC00000, np.uint32).view(np.float32)


def f32(x: Any) -> Floats:
    """x rounded to binary32, once."""
    return np.asarray(x).astype(np.float32)


def times(a: Any, b: Any) -> Floats:
    """One binary32 multiplication of two binary32 arrays."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == np.float32 and b.dtype == np.float32
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.multiply(a, b, dtype=np.float32))


def plus(a: Any, b: Any) -> Floats:
    """One binary32 addition of two binary32 arrays."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == np.float32 and b.dtype == np.float32
    return np.asarray(np.add(a, b, dtype=np.float32))


def rne(x: Floats) -> Integers:
    """The nearest integer, ties to even."""
    assert x.dtype == np.float32
    return np.rint(x).astype(np.int64)


def requantize(acc: Integers, multiplier: Any, zero_point: int, low: int, high: int) -> npt.NDArray[np.uint8]:
    """``clamp(rne(f32(f32(acc) * m)) + z, low, high)``; ``multiplier`` (binary32) broadcasts against ``acc``."""
    scaled = times(f32(acc), f32(multiplier))
    return np.clip(rne(scaled) + zero_point, low, high).astype(np.uint8)


def exp_f32(x: Floats) -> Floats:
    """The exponential of docs/numerics.md for x <= 0; 0 below -87."""
    log2_e = np.float32(float.fromhex("0x1.715476p+0"))
    ln2_high = np.float32(float.fromhex("0x1.62e400p-1"))
    ln2_low = np.float32(float.fromhex("0x1.7f7d1cp-20"))
    small = x < np.float32(-87)
    safe = np.where(small, np.float32(0), x)
    n = np.rint(times(safe, log2_e))
    r = plus(plus(safe, -times(n, ln2_high)), -times(n, ln2_low))
    p = np.full_like(r, np.float32(float.fromhex("0x1.6c16c2p-10")))
    for constant in ("0x1.111112p-7", "0x1.555556p-5", "0x1.555556p-3", "0x1p-1", "0x1p+0", "0x1p+0"):
        p = plus(times(p, r), np.float32(float.fromhex(constant)))
    power = ((n.astype(np.int64) + 127) << 23).astype(np.uint32).view(np.float32)
    return np.where(small, np.float32(0), times(p, power))


def softmax(x: Floats) -> Floats:
    """Softmax over the last axis in the fixed order of docs/numerics.md; a row without a finite maximum is NaN."""
    top = x.max(axis=-1, keepdims=True)
    finite = np.isfinite(top)
    e = exp_f32(plus(np.where(finite, x, np.float32(0)), -np.where(finite, top, np.float32(0))))
    p = [np.zeros(x.shape[:-1], np.float32) for _ in range(8)]
    for i in range(x.shape[-1]):
        p[i % 8] = plus(p[i % 8], e[..., i])
    even = plus(plus(p[0], p[4]), plus(p[2], p[6]))
    odd = plus(plus(p[1], p[5]), plus(p[3], p[7]))
    y = np.divide(e, plus(even, odd)[..., None], dtype=np.float32)
    return np.where(finite, y, CANONICAL_NAN)
