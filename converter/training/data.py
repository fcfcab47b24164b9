"""Where training batches come from, in any order, the same again for the same generator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lacewing.converter.calibration import Dataset
from lacewing.converter.errors import OptionError

Batch = tuple[dict[str, Tensor], Any]  # ({input name: [N, ...] f32}, target or None)
_SHIFT = 1 / 16  # of the image's sides, by which augmentation moves it at most


class Data(Protocol):
    """Samples by index. ``batch`` may augment, with randomness from ``generator`` alone."""

    def __len__(self) -> int:
        """The number of samples."""

    def batch(self, indices: Sequence[int], generator: torch.Generator) -> Batch:
        """The samples of ``indices``, stacked along axis 0."""


class TorchData:
    """A map-style ``torch.utils.data.Dataset`` of (input, target) or ({name: input}, target) pairs."""

    def __init__(self, dataset: Any, input_name: str) -> None:
        self._dataset, self._name = dataset, input_name

    def __len__(self) -> int:
        return len(self._dataset)

    def batch(self, indices: Sequence[int], generator: torch.Generator) -> Batch:
        """Collated as torch's DataLoader does."""
        inputs, target = torch.utils.data.default_collate([self._dataset[i] for i in indices])
        return (inputs if isinstance(inputs, dict) else {self._name: inputs}), target


class Unlabelled:
    """Calibration samples as training data without targets; images are moved and mirrored.

    The teacher answers for the very image that the student sees, so that no augmentation can teach a wrong label.
    """

    def __init__(self, dataset: Dataset, augment: bool) -> None:
        names = dataset.load(0)
        samples = [dataset.load(i) for i in range(len(dataset))]
        self._inputs = {n: torch.from_numpy(np.concatenate([s[n] for s in samples])) for n in names}
        self._augment = augment

    def __len__(self) -> int:
        return len(next(iter(self._inputs.values())))

    def batch(self, indices: Sequence[int], generator: torch.Generator) -> Batch:
        """Samples, without target."""
        inputs = {n: a[list(indices)] for n, a in self._inputs.items()}
        if self._augment:
            inputs = {n: _augmented(a, generator) if a.dim() == 4 else a for n, a in inputs.items()}
        return inputs, None


def _augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    dy, dx = max(1, round(height * _SHIFT)), max(1, round(width * _SHIFT))
    padded = functional.pad(images, (dx, dx, dy, dy), mode="replicate")
    y = torch.randint(0, 2 * dy + 1, (count,), generator=generator)
    x = torch.randint(0, 2 * dx + 1, (count,), generator=generator)
    mirror = torch.rand(count, generator=generator) < 0.5
    moved = [
        p[:, a : a + height, b : b + width] for p, a, b in zip(padded, y.tolist(), x.tolist(), strict=True)
    ]
    return torch.stack([m.flip(-1) if f else m for m, f in zip(moved, mirror.tolist(), strict=True)])


def as_data(source: Any, input_name: str, where: str) -> Data:
    """``source`` itself if it gives batches, else a torch dataset wrapped. Raises OptionError."""
    if hasattr(source, "batch") and hasattr(source, "__len__"):
        found: Data = source
        return found
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return TorchData(source, input_name)
    raise OptionError(
        f"{where} is a {type(source).__name__}: give a map-style torch Dataset, or an object with "
        "__len__ and batch(indices, generator)"
    )


def batches(data: Data, size: int, seed: int, epoch: int, rank: int = 0, world: int = 1) -> Iterator[Batch]:
    """The batches of one epoch, shuffled by seed and epoch; of each, the part of process ``rank`` of ``world``.

    What is left over at the end of the epoch makes no batch of its own, unless it is all there is.
    """
    order = np.random.default_rng((seed, epoch)).permutation(len(data))
    for step in range(steps_per_epoch(data, size)):
        indices = order[step * size : (step + 1) * size][rank::world]
        generator = torch.Generator().manual_seed(
            int(np.random.SeedSequence((seed, epoch, step, rank)).generate_state(1)[0])
        )
        yield data.batch([int(i) for i in indices], generator)


def steps_per_epoch(data: Data, size: int) -> int:
    """Whole batches in the data, at least one."""
    return max(1, len(data) // size)


def in_order(data: Data, size: int) -> Iterator[Batch]:
    """All of the data once, for validation."""
    generator = torch.Generator().manual_seed(0)
    for begin in range(0, len(data), size):
        yield data.batch(list(range(begin, min(begin + size, len(data)))), generator)


def moved(inputs: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The inputs on ``device``, images with their channels last, as convolutions like them best."""
    return {
        name: array.to(device, non_blocking=True).contiguous(
            memory_format=torch.channels_last if array.dim() == 4 else torch.contiguous_format
        )
        for name, array in inputs.items()
    }
