"""The ``--input-shape`` option: dimensions that a source model leaves open."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import OptionError


def parse_input_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """``["images:1x3x224x224"]`` as ``{"images": (1, 3, 224, 224)}``. Raises OptionError."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, colon, dims = text.rpartition(":")
        parts = dims.split("x")
        if (
            not colon
            or not name
            or not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts)
        ):
            raise OptionError(f"--input-shape {text!r}: write NAME:1x3x224x224")
        if name in shapes:
            raise OptionError(f"--input-shape names '{name}' twice")
        shapes[name] = tuple(int(part) for part in parts)
    return shapes
