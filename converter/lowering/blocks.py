"""Convolution weights as blocks: [R output channels][4 input channels] of one kernel tap."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.format.description import BLOCK_ROWS, QUAD
from lacewing.format.model import ceil_div

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


def to_blocks(weight: Array, block_rows: int) -> Array:
    """[O,C,kh,kw] -> [rows][K4][R][4], k4 = (ky*kw + kx)*ceil(C/4) + quad; channels padded with zeros."""
    o, c, kh, kw = weight.shape
    rows, c4 = ceil_div(o, block_rows), ceil_div(c, QUAD)
    padded = np.zeros((rows * block_rows, c4 * QUAD, kh, kw), weight.dtype)
    padded[:o, :c] = weight
    split = padded.reshape(rows, block_rows, c4, QUAD, kh, kw)
    return split.transpose(0, 4, 5, 2, 1, 3).reshape(rows, kh * kw * c4, block_rows, QUAD)


def from_blocks(blocks: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of ``to_blocks`` for weights of ``shape`` [O,C,kh,kw]."""
    o, c, kh, kw = shape
    rows, _, r, _ = blocks.shape
    split = blocks.reshape(rows, kh, kw, ceil_div(c, QUAD), r, QUAD).transpose(0, 4, 3, 5, 1, 2)
    return np.ascontiguousarray(split.reshape(rows * r, -1, kh, kw)[:o, :c])


def expand_groups(weight: Array, groups: int) -> Array:
    """[O, C/g, kh, kw] of a grouped convolution -> [O,C,kh,kw] with zeros outside the groups."""
    if groups == 1:
        return weight
    o, cg, kh, kw = weight.shape
    dense = np.zeros((o, cg * groups, kh, kw), weight.dtype)
    og = o // groups
    for g in range(groups):
        dense[g * og : (g + 1) * og, g * cg : (g + 1) * cg] = weight[g * og : (g + 1) * og]
    return dense


def occupied(weight: Array, block_rows: int) -> Mask:
    """[rows][K4]: blocks that hold a weight that is not zero."""
    return np.asarray(to_blocks(weight, block_rows).any(axis=(2, 3)))


def smallest_block_rows(weight: Array) -> int:
    """The R that stores the fewest weights of [O,C,kh,kw]; the taller block where two are equal."""
    return min(reversed(BLOCK_ROWS), key=lambda r: int(occupied(weight, r).sum()) * r)


def pack_mask(keep: Mask) -> Array:
    """[rows][K4] -> [rows][ceil(K4/8)] u8, least significant bit first."""
    return np.packbits(keep, axis=1, bitorder="little")
