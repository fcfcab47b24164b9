"""Loads a source network by path into the canonical graph that everything after works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import ModelFileError, OptionError
from .ir import Graph
from .onnx_import import import_onnx
from .passes import run_passes

__all__ = ["load_network", "parse_input_shapes"]


def load_network(path: str | Path, input_shapes: Mapping[str, Sequence[int]] | None = None) -> Graph:
    """The network at ``path`` as a canonical float32 graph of batch 1.

    ``input_shapes`` fixes open dimensions, e.g. ``{"images": (1, 3, 224, 224)}``. Raises ModelFileError,
    OptionError or UnsupportedModelError; the last lists everything that cannot be converted.
    """
    path = Path(path)
    if path.suffix.lower() != ".onnx":
        raise ModelFileError(f"{path}: not an .onnx file; export the network to ONNX first")
    return run_passes(import_onnx(path, input_shapes))


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
