"""From measured times to the cost of each unit of work: least squares without negative costs, with numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.profiles.work import OPTIONAL, REQUIRED, Work

Array = npt.NDArray[Any]

_ROUNDS = 4  # of reweighting
_SMALL_ERROR = 0.03  # relative; below it errors count by their square


@dataclass(frozen=True)
class Sample:
    """One operator, and how long it took."""

    work: Sequence[Work]
    nanoseconds: float


def fit(samples: Sequence[Sample]) -> tuple[dict[str, dict[str, float]], Array]:
    """(costs by kernel and unit, [samples] relative errors of what they predict).

    Relative errors are minimised: a small layer's choice of block matters as a large one's does. Kernels of ``REQUIRED``
    that no sample has get zero costs.
    """
    seen = {work.kernel for sample in samples for work in sample.work}
    kernels = {k: units for k, units in {**REQUIRED, **OPTIONAL}.items() if k in REQUIRED or k in seen}
    columns = {pair: i for i, pair in enumerate((k, unit) for k, units in kernels.items() for unit in units)}
    matrix = np.zeros((len(samples), len(columns)))
    for row, sample in zip(matrix, samples, strict=True):
        for work in sample.work:
            for unit, amount in work.amounts.items():
                row[columns[work.kernel, unit]] += amount / sample.nanoseconds
    costs, weight = np.zeros(len(columns)), np.ones(len(samples))
    for _ in range(_ROUNDS):
        costs = nonnegative_least_squares(matrix * weight[:, None], weight)
        # Towards least absolute errors: a few layers that the model does not explain shall not bend the others.
        weight = 1 / np.sqrt(np.maximum(np.abs(matrix @ costs - 1), _SMALL_ERROR))
    table = {k: {u: float(costs[columns[k, u]]) for u in units} for k, units in kernels.items()}
    return table, np.asarray(matrix @ costs - 1)


def nonnegative_least_squares(matrix: Array, target: Array) -> Array:
    """[n] x >= 0 that minimises |matrix x - target|, matrix [m][n] (Lawson and Hanson 1974, chapter 23)."""
    scale = np.linalg.norm(matrix, axis=0)
    scale[scale == 0] = 1.0
    q, a = np.linalg.qr(matrix / scale)  # columns of equal length: units differ by factors of a million
    target = q.T @ target
    x = np.zeros(a.shape[1])
    free = np.zeros(a.shape[1], bool)
    for _ in range(3 * a.shape[1]):
        gradient = a.T @ (target - a @ x)
        gradient[free] = -np.inf
        best = int(np.argmax(gradient))
        if gradient[best] <= 1e-9:
            break
        free[best] = True
        _step(a, target, x, free)
    return np.asarray(x / scale)


def _step(a: Array, target: Array, x: Array, free: npt.NDArray[np.bool_]) -> None:
    """Moves ``x`` in place to the least squares of the free columns, fixing at zero those that would turn negative."""
    while free.any():
        wanted = np.zeros_like(x)
        wanted[free] = np.linalg.lstsq(a[:, free], target, rcond=None)[0]
        negative = free & (wanted <= 0)
        if not negative.any():
            x[:] = wanted
            return
        share = float(np.min(x[negative] / np.maximum(x[negative] - wanted[negative], 1e-300)))
        x += share * (wanted - x)
        free &= x > 1e-12
        x[~free] = 0.0
