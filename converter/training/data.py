"""Where training batches come from, in any order, the same again for the same generator."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lacewing.converter.calibration import Dataset
from lacewing.converter.calibration.preprocessing import image_shape
from lacewing.converter.errors import ConversionError, OptionError, TrainingError

Batch = tuple[dict[str, Tensor], Any]  # ({input name: [N, ...] f32}, target or None)
_SHIFT = 1 / 16  # of the image's sides, by which augmentation moves it at most


class Data(Protocol):
    """Samples by index. ``batch`` may augment, with randomness from ``generator`` alone."""

    def __len__(self) -> int:
        """The number of samples."""

    def batch(self, indices: Sequence[int], generator: torch.Generator) -> Batch:
        """The samples of ``indices``, stacked along axis 0."""


class TorchData:
    """A map-style ``torch.utils.data.Dataset``: of (input, target) pairs or, where no targets are needed, of inputs.

    An input is an array, or {name: array}. What the dataset draws from the random numbers of torch, numpy or Python
    follows from the generator.
    """

    def __init__(self, dataset: Any, input_name: str) -> None:
        self._dataset, self._name = dataset, input_name

    def __len__(self) -> int:
        return len(self._dataset)

    def batch(self, indices: Sequence[int], generator: torch.Generator) -> Batch:
        """Collated as torch's DataLoader does."""
        with _seeded_by(generator):
            samples = [_pair(self._dataset[i]) for i in indices]
        inputs = torch.utils.data.default_collate([sample for sample, _ in samples])
        targets = [target for _, target in samples]
        target = None if all(t is None for t in targets) else torch.utils.data.default_collate(targets)
        return (inputs if isinstance(inputs, dict) else {self._name: inputs}), target


def _pair(item: Any) -> tuple[Any, Any]:
    """(input, target or None) of a dataset's item."""
    if not isinstance(item, (tuple, list)):
        return item, None
    if len(item) > 2:
        raise ValueError(f"an item of {len(item)} parts: give (input, target), several inputs as a dict")
    return item[0], item[1] if len(item) == 2 else None


@contextmanager
def _seeded_by(generator: torch.Generator) -> Iterator[None]:
    """The global random numbers of torch (on processors), numpy and Python begin from ``generator``; restored afterwards."""
    seed = int(torch.randint(2**32, (), generator=generator))
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


class Checked:
    """A recipe's data; batches hold what the network reads, float32, or a ConversionError says what they hold instead."""

    def __init__(self, data: Data, shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
        """shapes: input name -> [1, ...]; where: what errors call the data."""
        self._data, self._shapes, self._where = data, shapes, where

    def __len__(self) -> int:
        return len(self._data)

    def batch(self, indices: Sequence[int], generator: torch.Generator) -> Batch:
        """As the data give it. Raises TrainingError where they fail, OptionError where they do not fit the network."""
        try:
            found, target = self._data.batch(indices, generator)
            inputs = {
                name: torch.as_tensor(array, dtype=torch.float32)
                for name, array in found.items()
                if name in self._shapes
            }
        except ConversionError:
            raise
        except Exception as error:
            some = ", ".join(map(str, indices[:4])) + (" ..." if len(indices) > 4 else "")
            raise TrainingError(
                f"{self._where} data failed with {type(error).__name__}: {error} (samples {some})"
            ) from error
        wanted = {name: (len(indices), *shape[1:]) for name, shape in self._shapes.items()}
        given = {name: tuple(array.shape) for name, array in inputs.items()}
        if given != wanted:
            others = ", ".join(repr(name) for name in found if name not in given)
            shown = ", ".join(part for part in (_listed(given), others) if part)
            raise OptionError(f"{self._where} data give {shown}, the network reads {_listed(wanted)}")
        return inputs, target


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name!r} {list(shape)}" for name, shape in shapes.items())


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
    """Images, channels first or last, each moved and perhaps mirrored."""
    *_, channels_first = image_shape((1, *images.shape[1:]))
    if not channels_first:
        return _moved_and_mirrored(images.permute(0, 3, 1, 2), generator).permute(0, 2, 3, 1).contiguous()
    return _moved_and_mirrored(images, generator)


def _moved_and_mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
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


def as_data(source: Any, shapes: Mapping[str, tuple[int, ...]], where: str) -> Data:
    """``source``, an object that gives batches or a torch dataset, checked by its first sample. Raises ConversionErrors.

    shapes: the network's inputs, name -> [1, ...]; where: what errors call the source.
    """
    if not hasattr(source, "__len__") or not (hasattr(source, "batch") or hasattr(source, "__getitem__")):
        raise OptionError(
            f"{where} data are a {type(source).__name__}: give a map-style torch Dataset, or an object with "
            "__len__ and batch(indices, generator)"
        )
    if not len(source):
        raise OptionError(f"{where} data are empty")
    data: Data = source if hasattr(source, "batch") else TorchData(source, next(iter(shapes)))
    checked = Checked(data, shapes, where)
    checked.batch([0], torch.Generator().manual_seed(0))
    return checked


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
