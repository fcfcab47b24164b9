"""The softmax of docs/numerics.md in torch: float32 steps in the engine's order, for byte-equal evaluation."""

from __future__ import annotations

import torch
from torch import Tensor

_LOWEST = -87.0  # below it the exponential is 0
_LOG2_E = float.fromhex("0x1.715476p+0")
_LN2_HIGH, _LN2_LOW = float.fromhex("0x1.62e400p-1"), float.fromhex("0x1.7f7d1cp-20")
_POLYNOMIAL = tuple(
    float.fromhex(c)
    for c in (
        "0x1.6c16c2p-10",
        "0x1.111112p-7",
        "0x1.555556p-5",
        "0x1.555556p-3",
        "0x1p-1",
        "0x1p+0",
        "0x1p+0",
    )
)
_LANES = 8  # partial sums


def exact_softmax(x: Tensor) -> Tensor:
    """Softmax over the last axis of finite f32 ``x``, the engine's bits."""
    e = _exponential(x - x.max(dim=-1, keepdim=True).values)
    return e / _sum(e)[..., None]


def _exponential(x: Tensor) -> Tensor:
    small = x < _LOWEST
    safe = torch.where(small, torch.zeros_like(x), x)
    n = torch.round(safe * _LOG2_E)
    r = (safe - n * _LN2_HIGH) - n * _LN2_LOW
    p = torch.full_like(r, _POLYNOMIAL[0])
    for constant in _POLYNOMIAL[1:]:
        p = p * r
        p = p + constant
    return torch.where(small, torch.zeros_like(x), p * torch.exp2(n))


def _sum(e: Tensor) -> Tensor:
    lanes = torch.zeros(*e.shape[:-1], _LANES, dtype=e.dtype, device=e.device)
    for begin in range(0, e.shape[-1], _LANES):
        part = e[..., begin : begin + _LANES]
        lanes[..., : part.shape[-1]] += part
    p = lanes.unbind(dim=-1)
    return ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))
