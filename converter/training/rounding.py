"""Rounding with a gradient: forward the nearest integer, ties to even; backward as if nothing had happened.

The straight-through estimator of "Estimating or Propagating Gradients Through Stochastic Neurons" (arXiv 1308.3432).
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


def rounded(x: Tensor) -> Tensor:
    """The nearest integers of ``x``; the gradient passes unchanged."""
    result = _Round.apply(x)  # type: ignore[no-untyped-call]
    assert isinstance(result, Tensor)
    return result
