"""Layer weights as a matrix [O][K], K ordered as in the file: (ky, kx, channel), channels in whole quads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.format.description import QUAD
from lacewing.format.model import ceil_div

Array = npt.NDArray[Any]


def to_columns(weight: Array) -> Array:
    """[O,C,kh,kw] or [O,C] -> [O][kh*kw*C4*4], padding channels zero."""
    full = weight if weight.ndim == 4 else weight[:, :, None, None]
    padded = np.pad(full, ((0, 0), (0, -full.shape[1] % QUAD), (0, 0), (0, 0)))
    return np.ascontiguousarray(padded.transpose(0, 2, 3, 1).reshape(len(full), -1))


def from_columns(columns: Array, shape: tuple[int, ...]) -> Array:
    """The inverse, for weights of ``shape``."""
    o, c, kh, kw = shape if len(shape) == 4 else (*shape, 1, 1)
    full = columns.reshape(o, kh, kw, -1)[:, :, :, :c].transpose(0, 3, 1, 2)
    return np.ascontiguousarray(full.reshape(shape))


def padded_rows(columns: Array, rows: int) -> Array:
    """[O][K] with zero rows up to a multiple of ``rows``."""
    return np.pad(columns, ((0, ceil_div(len(columns), rows) * rows - len(columns)), (0, 0)))
