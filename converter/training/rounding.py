"""Rounding with a gradient: forward the nearest integer, ties to even; backward as if nothing had happened.

The straight-through estimator of "Estimating or Propagating Gradients Through Stochastic Neurons" (arXiv 1308.3432).
Levels that a clamp cuts off get no gradient; those at its bounds do.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class _Levels(torch.autograd.Function):
    """What autograd would make of round, add and clamp, in half the passes over memory: a clamp's own gradient takes five."""

    @staticmethod
    def forward(ctx: Any, scaled: Tensor, zero_point: int, low: int, high: int) -> Tensor:
        whole = torch.round(scaled)
        if zero_point:
            whole += zero_point
        ctx.save_for_backward(whole)
        ctx.bounds = low - 0.5, high + 0.5  # no integer lies on them
        return whole.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (whole,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradient, whole, *ctx.bounds), None, None, None


def rounded(x: Tensor) -> Tensor:
    """The nearest integers of ``x``; the gradient passes unchanged."""
    # torch gives ``apply`` no types.
    result = _Round.apply(x)  # type: ignore[no-untyped-call]
    assert isinstance(result, Tensor)
    return result


def to_levels(scaled: Tensor, zero_point: int, low: int, high: int) -> Tensor:
    """``scaled`` rounded, ``zero_point`` added, clamped to ``low`` .. ``high``."""
    # torch gives ``apply`` no types.
    result = _Levels.apply(scaled, zero_point, low, high)  # type: ignore[no-untyped-call]
    assert isinstance(result, Tensor)
    return result
