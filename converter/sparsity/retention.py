"""How much of a layer's saliency its blocks keep when the cheapest of them go."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.errors import OptionError
from lacewing.converter.sparsity.columns import to_columns
from lacewing.converter.sparsity.obs import Block

Array = npt.NDArray[Any]


class BlockSaliency:
    """The saliency of one layer's weights as shares of the layer's sum, cut into blocks of which ``share`` go.

    ``cells`` is [rows*R][taps][C4*4] f32. Raises OptionError for a saliency that has no meaning here.
    """

    def __init__(self, name: str, saliency: Array, block: Block, share: float) -> None:
        columns = to_columns(saliency)  # [O][K]
        if columns.shape[1] % block.columns:
            raise OptionError(
                f"{name}: its {columns.shape[1]} columns are no whole number of {block} blocks; "
                "take a narrower block"
            )
        if not (np.isfinite(columns).all() and (columns >= 0).all()):
            raise OptionError(
                f"{name}: a saliency is negative or not finite; the calibration may be at fault"
            )
        taps = math.prod(saliency.shape[2:])
        padded = np.pad(columns.astype(np.float64), ((0, -len(columns) % block.rows), (0, 0)))
        scaled = padded / (padded.sum() or 1.0)
        self.cells = scaled.astype(np.float32).reshape(len(padded), taps, -1)
        self.block = block
        self._drops = round(share * (columns.shape[1] // block.columns) * (len(padded) // block.rows))

    def sorted_blocks(self) -> Array:
        """[blocks] f64, cheapest first."""
        split = self.cells.reshape(
            -1, self.block.rows, self.cells[0].size // self.block.columns, self.block.columns
        )
        return np.sort(split.sum(axis=(1, 3), dtype=np.float64), axis=None)

    def retained(self) -> float:
        """Share of the layer's saliency in the blocks that stay."""
        return 1.0 - float(self.sorted_blocks()[: self._drops].sum())

    def threshold(self) -> float:
        """What a block must hold to stay."""
        blocks = self.sorted_blocks()
        return float(blocks[min(self._drops, len(blocks) - 1)])

    def move(self, rows: bool, places: Array, order: Array) -> None:
        """Row (or column) places[i] becomes the one that was at places[order[i]]."""
        if rows:
            self.cells[places] = self.cells[places[order]]
        else:
            self.cells[:, :, places] = self.cells[:, :, places[order]]

    def parts(self, rows: bool) -> Array:
        """[channels][...] f32: what each row (or column) adds to the blocks that it crosses.

        Rows group by ``block.rows``, columns by ``block.columns``. Where pairs of quads reach over the end of a tap
        (4x8 with an odd number of quads) the columns' grouping holds for most blocks only.
        """
        if rows:
            return np.asarray(self.cells.reshape(len(self.cells), -1, self.block.columns).sum(axis=2))
        crossed = self.cells.reshape(-1, self.block.rows, *self.cells.shape[1:]).sum(axis=1)
        return np.ascontiguousarray(crossed.transpose(2, 0, 1)).reshape(self.cells.shape[2], -1)

    def lines(self, rows: bool) -> Array:
        """[channels][...] f32: the saliency of each row's (or column's) weights."""
        if rows:
            return self.cells.reshape(len(self.cells), -1)
        return self.cells.reshape(-1, self.cells.shape[2]).T
