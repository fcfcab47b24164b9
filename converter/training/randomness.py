"""Random numbers that follow from where a training is, so that one that was broken off goes on with the same ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def generator_of(*words: int) -> torch.Generator:
    """A generator of its own for each sequence of ``words``, which are 0 or more."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(words).generate_state(1)[0]))


@contextmanager
def seeded_by(generator: torch.Generator) -> Iterator[None]:
    """The global random numbers of torch (on processors), numpy and Python begin from ``generator``, which stays as it is;
    restored afterwards."""
    same = torch.Generator()
    same.set_state(generator.get_state())
    seed = int(torch.randint(2**32, (), generator=same))
    numbers, words = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numbers)
            random.setstate(words)
