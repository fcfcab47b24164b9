"""Where training batches come from, in any order, the same again for the same generator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lacewing.converter.errors import OptionError
from lacewing.converter.training.randomness import generator_of

Batch = tuple[dict[str, Tensor], Any]  # ({input name: [N, ...] f32}, target or None)


class Data(Protocol):
    """Samples by index. ``batch`` may augment, with randomness from ``generator`` alone."""

    def __len__(self) -> int:
        """The number of samples."""

    def batch(self, indices: Sequence[int], generator: torch.Generator) -> Batch:
        """The samples of ``indices``, stacked along axis 0."""


def check_divisible(data: Data, size: int, world: int) -> None:
    """Raises OptionError where batches of ``size`` leave a process without samples."""
    for name, count in (("batch_size", size), ("number of train samples", len(data))):
        if count < world:
            raise OptionError(
                f"the recipe's {name}, {count}, is below the {world} processes: start fewer, or give more"
            )


def batches(data: Data, size: int, seed: int, epoch: int, rank: int = 0, world: int = 1) -> Iterator[Batch]:
    """The batches of one epoch, shuffled by seed and epoch; of each, the part of process ``rank`` of ``world``.

    What is left over at the end of the epoch makes no batch of its own, unless it is all there is. All parts are of one
    size, for gradients are averaged over processes.
    """
    order = np.random.default_rng((seed, epoch)).permutation(len(data))
    even = min(size, len(data)) // world * world
    for step in range(steps_per_epoch(data, size)):
        indices = order[step * size :][:even][rank::world]
        yield data.batch([int(i) for i in indices], generator_of(seed, epoch, step, rank))


def steps_per_epoch(data: Data, size: int) -> int:
    """Whole batches in the data, at least one."""
    return max(1, len(data) // size)


def in_order(data: Data, size: int) -> Iterator[Batch]:
    """All of the data once, for validation."""
    for begin in range(0, len(data), size):
        indices = list(range(begin, min(begin + size, len(data))))
        yield data.batch(indices, torch.Generator().manual_seed(begin))


def moved(inputs: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The inputs on ``device``, images with their channels last, as convolutions like them best."""
    return {
        name: array.to(device, non_blocking=True).contiguous(
            memory_format=torch.channels_last if array.dim() == 4 else torch.contiguous_format
        )
        for name, array in inputs.items()
    }
