"""How training goes from the first step to the last: which share of the blocks is gone, and how fast weights move."""

from __future__ import annotations

import math
from dataclasses import dataclass

SCHEDULES = ("cubic", "one-shot")
_WARM_UP = 0.05  # of all steps, in which the learning rate rises


@dataclass(frozen=True)
class SparsitySchedule:
    """``kind``: cubic ("To Prune, or Not to Prune", arXiv 1710.01878) up to ``ramp`` of the steps, or all at once."""

    kind: str
    ramp: float
    updates: int  # how often the choice of blocks is made anew on the way

    def share(self, done: float) -> float:
        """The part of the final sparsity that holds when ``done`` (0..1) of the steps are over."""
        if self.kind == "one-shot" or done >= self.ramp:
            return 1.0
        return 1.0 - (1.0 - done / self.ramp) ** 3

    def steps(self, total: int) -> set[int]:
        """The steps of 0..total-1 before which blocks are chosen anew."""
        if self.kind == "one-shot":
            return {0}
        return {round(self.ramp * total * i / self.updates) for i in range(self.updates + 1)}


def learning_rate(done: float) -> float:
    """The share of the peak learning rate at ``done`` (0..1): a short rise, then half a cosine down to 0."""
    if done < _WARM_UP:
        return (done + 1e-3) / (_WARM_UP + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (done - _WARM_UP) / (1 - _WARM_UP)))
