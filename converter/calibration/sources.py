"""Where samples come from; every source yields ``{input name: float32 array of the input's shape}``."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.calibration.preprocessing import Preprocessing, image_shape
from lacewing.converter.errors import CalibrationError
from lacewing.converter.user_file import defined_in

Array = npt.NDArray[Any]
Sample = dict[str, Array]
Shapes = dict[str, tuple[int, ...]]

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}
)


@dataclass
class Dataset:
    """Samples on demand. ``files`` names each sample where it has a file; ``load`` makes one."""

    names: list[str]
    load: Callable[[int], Sample]
    preprocessing: Preprocessing | None = None  # of images only
    root: Path | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Sample]:
        return (self.load(i) for i in range(len(self)))

    def subset(self, indices: list[int]) -> Dataset:
        """Some of the samples."""
        names = [self.names[i] for i in indices]
        return Dataset(names, lambda i: self.load(indices[i]), self.preprocessing, self.root)

    def spread(self, count: int) -> Dataset:
        """``count`` evenly spread samples."""
        return self.subset(spread(len(self), count))


def open_dataset(
    source: str | Path | Iterable[Mapping[str, Array]],
    shapes: Shapes,
    count: int | None = None,
    preprocessing: Preprocessing | None = None,
) -> Dataset:
    """A folder of images, a .npz/.npy, a recipe .py or any iterable of samples; ``count`` evenly spread ones.

    shapes: name -> shape of every network input. Raises CalibrationError with what is wrong and what to do.
    """
    if count is not None and count < 1:
        raise CalibrationError(f"--calib-count must be at least 1, not {count}")
    if not isinstance(source, (str, Path)):
        return _from_iterable(source, shapes, count, "the calibration iterator")
    path = Path(source)
    if path.is_dir():
        return _from_folder(path, shapes, count, preprocessing or Preprocessing())
    if not path.is_file():
        raise CalibrationError(
            f"{path}: no such file or folder; --calib takes images, .npz, .npy or a recipe .py"
        )
    if path.suffix == ".py":
        return _from_recipe(path, shapes, count)
    if path.suffix in (".npz", ".npy"):
        return _from_arrays(path, shapes, count)
    raise CalibrationError(
        f"{path}: calibration data are a folder of images, .npz, .npy or a recipe .py file"
    )


def spread(total: int, count: int | None) -> list[int]:
    """``count`` indices evenly over 0..total-1; all of them without a count."""
    if count is None or count >= total:
        return list(range(total))
    return [i * total // count for i in range(count)]


def checked(sample: Mapping[str, Any], shapes: Shapes, where: str) -> Sample:
    """``sample`` as contiguous float32 of exactly the inputs' names and shapes. Raises CalibrationError."""
    if not isinstance(sample, Mapping):
        raise CalibrationError(
            f"{where}: a sample is a dict of input name to array, not {type(sample).__name__}"
        )
    if set(sample) != set(shapes):
        raise CalibrationError(f"{where}: has inputs {sorted(sample)}, the network wants {sorted(shapes)}")
    return {name: _checked_array(sample[name], name, shape, where) for name, shape in shapes.items()}


def _checked_array(value: Any, name: str, shape: tuple[int, ...], where: str) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise CalibrationError(f"{where}: input {name!r} holds {array.dtype}, numbers are needed")
    if array.shape == shape[1:]:
        array = array[None]
    if array.shape != shape:
        raise CalibrationError(f"{where}: input {name!r} has shape {list(array.shape)}, wanted {list(shape)}")
    array = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(array).all():
        raise CalibrationError(f"{where}: input {name!r} holds NaN or infinity; clean the data")
    return array


def _from_folder(path: Path, shapes: Shapes, count: int | None, preprocessing: Preprocessing) -> Dataset:
    if len(shapes) != 1:
        raise CalibrationError(
            f"the network has inputs {sorted(shapes)}: images serve one; use .npz or a recipe"
        )
    name, shape = next(iter(shapes.items()))
    image_shape(shape)
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    if not files:
        raise CalibrationError(f"{path}: no images in this folder ({', '.join(sorted(IMAGE_SUFFIXES))})")
    chosen = [files[i] for i in spread(len(files), count)]

    def load(i: int) -> Sample:
        return {name: preprocessing.load(chosen[i], shape)}

    return Dataset([str(f.relative_to(path)) for f in chosen], load, preprocessing, path)


def load_arrays(path: Path, names: Collection[str]) -> dict[str, Array]:
    """The arrays of a .npz or .npy by input name; the only one is that of the only input. Raises CalibrationError."""
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = {k: loaded[k] for k in loaded.files} if path.suffix == ".npz" else {"": loaded}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise CalibrationError(f"{path}: not a readable numpy file without pickles ({error})") from error
    if len(arrays) == 1 and len(names) == 1:
        return {next(iter(names)): next(iter(arrays.values()))}
    return arrays


def _from_arrays(path: Path, shapes: Shapes, count: int | None) -> Dataset:
    arrays = load_arrays(path, shapes)
    if set(arrays) != set(shapes):
        raise CalibrationError(f"{path}: holds arrays {sorted(arrays)}, the network wants {sorted(shapes)}")
    lengths = {name: len(a) if a.ndim else 0 for name, a in arrays.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise CalibrationError(
            f"{path}: needs the same number of samples (first axis) per input, has {lengths}"
        )
    chosen = spread(next(iter(lengths.values())), count)

    def load(i: int) -> Sample:
        sample = {name: a[chosen[i]] for name, a in arrays.items()}
        return checked(sample, shapes, f"{path}, sample {chosen[i]}")

    return Dataset([f"{path.name}[{i}]" for i in chosen], load)


def _from_recipe(path: Path, shapes: Shapes, count: int | None) -> Dataset:
    try:
        function = defined_in(path, "calibration")
        if not callable(function):
            raise CalibrationError(f"{path}: a recipe defines `def calibration():` that yields samples")
        return _from_iterable(function(), shapes, count, str(path))
    except CalibrationError:
        raise
    except Exception as error:
        raise CalibrationError(f"{path}: the recipe failed with {type(error).__name__}: {error}") from error


def _from_iterable(
    source: Iterable[Mapping[str, Array]], shapes: Shapes, count: int | None, where: str
) -> Dataset:
    if not isinstance(source, Iterable):
        raise CalibrationError(f"{where} is no iterable of samples but {type(source).__name__}")
    samples = [checked(s, shapes, f"{where}, sample {i}") for i, s in enumerate(islice(source, count))]
    if not samples:
        raise CalibrationError(f"{where} yields no samples")
    return Dataset([f"sample {i}" for i in range(len(samples))], samples.__getitem__)
