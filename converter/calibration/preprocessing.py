"""From an image file to a network input: resize, centre crop, channel order, mean and deviation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from lacewing.converter.errors import CalibrationError, OptionError

Array = npt.NDArray[Any]

CROP_SHARE = 0.875  # of the resized short side that the crop keeps
CHANNELS = ("rgb", "bgr")


@dataclass(frozen=True)
class Preprocessing:
    """``mean`` and ``std`` in pixel units (0..255), one or three values, in the order of ``channels``.

    ``resize`` is the short side before the centre crop; None means the crop's size / 0.875.
    Raises OptionError for values that make no sense.
    """

    mean: tuple[float, ...] = (127.5,)
    std: tuple[float, ...] = (127.5,)
    channels: str = "rgb"
    resize: int | None = None

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, 3) or not np.isfinite(values).all():
                raise OptionError(f"--{name} takes one or three finite numbers in pixel units, not {values}")
        if min(self.std) <= 0:
            raise OptionError(f"--std must be above 0, not {self.std}")
        if self.channels not in CHANNELS:
            raise OptionError(f"--channels is {' or '.join(CHANNELS)}, not {self.channels!r}")
        if self.resize is not None and self.resize < 1:
            raise OptionError(f"--resize is the short side in pixels, not {self.resize}")

    def metadata(self) -> dict[str, Any]:
        """What the ``.lace`` file records."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def load(self, path: Path, shape: tuple[int, ...]) -> Array:
        """The image as float32 of ``shape``: [1,C,H,W] or [1,H,W,C], C 1 or 3. Raises CalibrationError."""
        channels, height, width, first = image_shape(shape)
        try:
            with Image.open(path) as image:
                pixels = image.convert("RGB" if channels == 3 else "L")
        except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
            raise CalibrationError(f"{path}: not a readable image ({error}); remove or replace it") from error
        crop = np.asarray(self._crop(pixels, height, width, path), np.float32).reshape(
            height, width, channels
        )
        if self.channels == "bgr":
            crop = crop[:, :, ::-1]
        scaled = (crop - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(scaled.transpose(2, 0, 1) if first else scaled, np.float32)[None]

    def _crop(self, image: Image.Image, height: int, width: int, path: Path) -> Image.Image:
        if self.resize is not None:
            factor = self.resize / min(image.size)
        else:
            factor = max(width / image.width, height / image.height) / CROP_SHARE
        size = (round(image.width * factor), round(image.height * factor))
        if size[0] < width or size[1] < height:
            raise CalibrationError(
                f"{path}: {size[0]}x{size[1]} after --resize {self.resize} is smaller than the network's "
                f"{width}x{height} input; raise --resize"
            )
        if size != image.size:
            image = image.resize(size, Image.Resampling.BICUBIC)
        left, top = (size[0] - width) // 2, (size[1] - height) // 2
        return image.crop((left, top, left + width, top + height))


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int, bool]:
    """(channels, height, width, channels first) of an image input. Raises CalibrationError for other shapes."""
    if len(shape) == 4 and shape[0] == 1 and shape[1] in (1, 3):
        return shape[1], shape[2], shape[3], True
    if len(shape) == 4 and shape[0] == 1 and shape[3] in (1, 3):
        return shape[3], shape[1], shape[2], False
    raise CalibrationError(
        f"the network's input has shape {list(shape)}, which is no image [1,C,H,W] or [1,H,W,C] with 1 or 3 "
        "channels: give the data as .npz, .npy or a recipe file"
    )
