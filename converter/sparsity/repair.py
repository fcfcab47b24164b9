"""Masked least squares by conjugate gradients: the repair for layers too large to eliminate block by block."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[Any]

_ITERATIONS = 24


def masked_least_squares(target: Array, hessian: Array, mask: Array) -> Array:
    """[O][K] f32: W that is zero outside ``mask`` [O][K] bool and minimises tr((W - T) H (W - T)').

    target [O][K], hessian [K,K] damped. Preconditioned by the diagonal; starts at the masked target.
    """
    h = torch.from_numpy(hessian.astype(np.float32))
    m = torch.from_numpy(mask.astype(np.float32))
    t = torch.from_numpy(target.astype(np.float32))
    diagonal = torch.clamp(torch.diag(h), min=1e-12)
    w = t * m
    residual = ((t - w) @ h) * m
    direction = residual / diagonal
    power = (residual * direction).sum(dim=1)
    for _ in range(_ITERATIONS):
        image = (direction @ h) * m
        step = power / torch.clamp((direction * image).sum(dim=1), min=1e-30)
        w += step[:, None] * direction
        residual -= step[:, None] * image
        scaled = residual / diagonal
        next_power = (residual * scaled).sum(dim=1)
        direction = scaled + (next_power / torch.clamp(power, min=1e-30))[:, None] * direction
        power = next_power
    return np.asarray(w.numpy())
