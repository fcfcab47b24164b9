"""Which block each layer gets, and how many of its blocks go: the least error within limits on time and bytes.

Each layer has a list of choices. Taking one for each, so that the sums of their amounts stay within limits, is the
multiple-choice knapsack problem; scipy's HiGHS solves it as a mixed-integer program with one 0/1 variable per choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from lacewing.commands.output import quiet_stdout
from lacewing.converter.sparsity.obs import Block

Array = npt.NDArray[Any]

_GAP = 1e-4  # relative, between the result and the best possible
_NODES = 20_000  # of the search tree, so that the result depends on no clock ...
_SECONDS = 60.0  # ... unless the machine is far slower than any we know
_SLACK = 1e-9  # relative: sums in another order differ by roundings


@dataclass(frozen=True)
class Choice:
    """One way to store a layer; ``block`` None is dense."""

    block: Block | None
    share: float  # of the blocks that go
    error: float  # relative to the layer's output power
    nanoseconds: float
    bytes: int
    gone: float  # weights


@dataclass(frozen=True)
class Limits:
    """On the sums over all layers."""

    gone: float = 0.0  # at least
    nanoseconds: float = math.inf  # at most
    bytes: float = math.inf  # at most


Amount = Callable[[Choice], float]


def least_error(layers: Sequence[Sequence[Choice]], limits: Limits) -> list[Choice] | None:
    """One choice of each layer with the smallest sum of errors within the limits; None if there is no such."""
    return _least(layers, limits, lambda c: c.error)


def least(layers: Sequence[Sequence[Choice]], limits: Limits, amount: Amount) -> float | None:
    """The smallest sum of ``amount`` within the limits; None if they cannot be kept."""
    found = _least(layers, limits, amount)
    return None if found is None else sum(map(amount, found))


def _least(layers: Sequence[Sequence[Choice]], limits: Limits, amount: Amount) -> list[Choice] | None:
    choices = [choice for layer in layers for choice in layer]
    if not choices:
        return [] if min(limits.nanoseconds, limits.bytes) >= 0 >= limits.gone else None
    owner = np.repeat(np.arange(len(layers)), [len(layer) for layer in layers])
    one_each = csr_array((np.ones(len(choices)), (owner, np.arange(len(choices)))))
    constraints = [LinearConstraint(one_each, 1, 1), *_sums(choices, limits)]
    cost = _scaled(np.array([amount(c) for c in choices]))[0]
    with quiet_stdout():  # the solver now and then prints a line of its own
        found = milp(
            cost,
            integrality=np.ones(len(choices)),
            bounds=Bounds(0, 1),
            constraints=constraints,
            options={"mip_rel_gap": _GAP, "node_limit": _NODES, "time_limit": _SECONDS},
        )
    if found.x is None:
        return None
    picks = [int(np.argmax(np.where(owner == i, found.x, -1))) for i in range(len(layers))]
    return [choices[i] for i in picks]


def _sums(choices: Sequence[Choice], limits: Limits) -> list[LinearConstraint]:
    found = []
    for amount, low, high in (
        ([c.gone for c in choices], limits.gone, math.inf),
        ([c.nanoseconds for c in choices], -math.inf, limits.nanoseconds),
        ([c.bytes for c in choices], -math.inf, limits.bytes),
    ):
        if low <= 0 and high == math.inf:
            continue
        row, unit = _scaled(np.array(amount, float))
        slack = _SLACK * max(abs(b) for b in (low, high) if math.isfinite(b)) / unit
        found.append(LinearConstraint(row[None], low / unit - slack, high / unit + slack))
    return found


def _scaled(row: Array) -> tuple[Array, float]:
    """The row with its largest number at 1, as the solver's absolute tolerances want it, and what it was divided by."""
    unit = float(np.abs(row).max()) or 1.0
    return row / unit, unit
