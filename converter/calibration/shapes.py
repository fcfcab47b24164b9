"""Shapes of a network's inputs as the calibration data show them, for sources that do not say themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lacewing.converter.calibration.sources import load_arrays
from lacewing.converter.errors import OptionError

Samples = Iterable[Mapping[str, npt.NDArray[np.float32]]]


def sample_shapes(source: str | Path | Samples, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shape of each input of batch 1, from a .npz, a .npy or a list of samples {input name: array}.

    Raises CalibrationError for a file that cannot be read, OptionError for data that have to be told the shapes:
    images, recipes, samples that come once.
    """
    if isinstance(source, (str, Path)):
        if Path(source).suffix in (".npz", ".npy"):
            return {
                name: _batched(array.shape[1:]) for name, array in load_arrays(Path(source), names).items()
            }
    elif isinstance(source, (list, tuple)) and source:
        return {name: _batched(np.shape(array)) for name, array in source[0].items()}
    wanted = ", ".join(f"'{name}': (1, 3, 224, 224)" for name in names)
    raise OptionError(
        f"these calibration data do not tell the shapes of the inputs: give input_shapes={{{wanted}}}"
    )


def _batched(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A sample may come with its batch of one or without: images [C, H, W], rows [K]."""
    return shape if len(shape) in (2, 4) and shape[0] == 1 else (1, *shape)
