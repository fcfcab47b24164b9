"""How training goes from the first step to the last: which share of the blocks is gone, and how fast weights move."""

from __future__ import annotations

import math
from dataclasses import dataclass

SCHEDULES = ("cubic", "one-shot")
_WARM_UP = 0.05  # of all steps, in which the learning rate rises


@dataclass(frozen=True)
class Choice:
    """One choice of blocks on the way to the final sparsity."""

    share: float  # the part of that sparsity that holds from here on
    regrowth: float  # the part of the recipe's ``regrow``


@dataclass(frozen=True)
class CubicSchedule:
    """Blocks go along a cubic ("To Prune, or Not to Prune", arXiv 1710.01878) up to ``ramp`` of the steps, then stay."""

    ramp: float
    updates: int  # how often the choice of blocks is made anew on the way

    def choices(self, total: int) -> dict[int, Choice]:
        """{step: choice} before that step of 0..total-1; the last one is all of the sparsity, however few the steps."""
        last = min(round(self.ramp * total), total - 1)
        steps = {round(self.ramp * total * i / self.updates) for i in range(self.updates)}
        found = {step: self._at(step / total) for step in sorted(steps) if step < last}
        return found | {last: Choice(1.0, 0.0)}

    def _at(self, done: float) -> Choice:
        left = 1.0 - done / self.ramp
        return Choice(1.0 - left**3, left)


def learning_rate(done: float) -> float:
    """The share of the peak learning rate at ``done`` (0..1): a short rise, then half a cosine down to 0."""
    if done < _WARM_UP:
        return (done + 1e-3) / (_WARM_UP + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (done - _WARM_UP) / (1 - _WARM_UP)))
