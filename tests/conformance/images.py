"""Digests of what the converter's preprocessing makes of pictures, for engines that prepare images themselves.

A picture is xorshift32 (tests/conformance/inputs.py) of seed 1, row-major RGBA: byte = x >> 24; in its upper half every
byte is 0 or 255 instead (255 from 128 on), where a bicubic filter overshoots.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lacewing.converter.calibration.preprocessing import Preprocessing
from lacewing.format import Model
from lacewing.selftest.builder import Builder
from tests.conformance.inputs import xorshift32
from tests.conformance.make_vectors import digest

SIZES = ((41, 57), (57, 41), (33, 33), (200, 150), (7, 5), (640, 480))  # width, height
PREPARATIONS: tuple[dict[str, Any], ...] = (
    {},
    {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)},
    {"mean": (104.0, 117.0, 123.0), "std": (1.0,), "channels": "bgr", "resize": 40},
)


def gray_model() -> Model:
    """A model of one channel."""
    builder = Builder(4)
    builder.output(builder.conv(builder.image(1, 28), 4, 3, 1, 4, 0.0, head=True))
    return builder.model


def picture(width: int, height: int) -> npt.NDArray[np.uint8]:
    """[height, width, 4], the same in any language."""
    bytes_ = np.fromiter(xorshift32(1), np.uint32, width * height * 4) >> 24
    pixels = bytes_.astype(np.uint8).reshape(height, width, 4)
    pixels[: height // 2] = (pixels[: height // 2] >> 7) * 255
    return pixels


def cases(shapes: dict[str, tuple[int, ...]]) -> list[dict[str, Any]]:
    """Model, its input's shape, picture and options -> digest of the input."""
    found = []
    with TemporaryDirectory() as folder:
        for width, height in SIZES:
            file = Path(folder) / f"{width}x{height}.png"
            Image.fromarray(picture(width, height)[:, :, :3].copy()).save(file)
            for model, shape in shapes.items():
                for options in (o for o in PREPARATIONS if len(o.get("mean", (0,))) in (1, shape[1])):
                    array = Preprocessing(**options).load(file, shape)
                    found.append(
                        {
                            "model": model,
                            "width": width,
                            "height": height,
                            "options": options,
                            "input": digest(array),
                        }
                    )
    return found
