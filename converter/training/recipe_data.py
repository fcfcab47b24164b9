"""The data that a recipe brings along: usual datasets made to give batches, and checked for what the network reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lacewing.converter.errors import OptionError
from lacewing.converter.training.data import Batch, Data
from lacewing.converter.training.randomness import seeded_by
from lacewing.converter.training.recipe_functions import blamed_on, listed


class TorchData:
    """A map-style ``torch.utils.data.Dataset``: of (input, target) pairs or, where no targets are needed, of inputs.

    An input is an array, or {name: array}.
    """

    def __init__(self, dataset: Any, input_name: str) -> None:
        self._dataset, self._name = dataset, input_name

    def __len__(self) -> int:
        return len(self._dataset)

    def batch(self, indices: Sequence[int], generator: torch.Generator) -> Batch:
        """Collated as torch's DataLoader does."""
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


class Checked:
    """A recipe's data; batches hold what the network reads, float32, or a ConversionError says what they hold instead.

    What the data draw from the global random numbers of torch, numpy or Python follows from the generator.
    """

    def __init__(self, data: Data, shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
        """shapes: input name -> [1, ...]; where: what errors call the data."""
        self._data, self._shapes, self._where = data, shapes, where

    def __len__(self) -> int:
        return len(self._data)

    def batch(self, indices: Sequence[int], generator: torch.Generator) -> Batch:
        """As the data give it. Raises TrainingError where they fail, OptionError where they do not fit the network."""
        with blamed_on(f"{self._where} data", lambda: _first_of(indices)), seeded_by(generator):
            found, target = self._data.batch(indices, generator)
            inputs = {
                name: torch.as_tensor(array, dtype=torch.float32)
                for name, array in found.items()
                if name in self._shapes
            }
        wanted = {name: (len(indices), *shape[1:]) for name, shape in self._shapes.items()}
        given = {name: tuple(array.shape) for name, array in inputs.items()}
        if given != wanted:
            others = ", ".join(repr(name) for name in found if name not in given)
            shown = ", ".join(part for part in (listed(given), others) if part)
            raise OptionError(f"{self._where} data give {shown}, the network reads {listed(wanted)}")
        return inputs, target


def _first_of(indices: Sequence[int]) -> str:
    return "samples " + ", ".join(map(str, indices[:4])) + (" ..." if len(indices) > 4 else "")


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
