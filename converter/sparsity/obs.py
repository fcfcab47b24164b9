"""Optimal brain surgeon on blocks: which go costs least, and what the rest becomes to make up for it.

The error of a layer is tr((W - W0) H (W - W0)'), H the inputs' second moment. Dropping block b (some columns) of
R output channels costs sum_r w_rb' [inv(H)_bb]^-1 w_rb and is repaired best by moving the other weights by
-w_rb' [inv(H)_bb]^-1 inv(H)_b*; eliminating b from inv(H) then gives the inverse on what is left. Blocks go a few
at a time, so the scores follow the repairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

DAMPING = 0.01  # of the mean input power, added to the moments
LEAST_POWER = 1e-12  # of inputs: what is below counts as nothing
_ROUNDS = 8
_BATCH_FLOATS = 1 << 25  # inverse moments held at once


@dataclass(frozen=True)
class Block:
    """What is dropped as a whole: output channels x neighbouring columns (a multiple of a quad) that begin at one."""

    rows: int
    columns: int

    def __str__(self) -> str:
        """As options, profiles and reports name it: 4x4."""
        return f"{self.rows}x{self.columns}"


def power(weight: Array, hessian: Array) -> float:
    """tr(W H W'): of the output of ``weight`` [O][K] on inputs of moment ``hessian`` [K,K]."""
    return float(row_power(weight, hessian).sum())


def row_power(weight: Array, hessian: Array) -> Array:
    """[O] f64: the same of each output."""
    return np.asarray(np.einsum("ok,kl,ol->o", weight, hessian, weight, optimize=True))


def damped(hessian: Array) -> Array:
    """[K,K] f64: the moment matrix with a little power added to every input, so that it can be inverted."""
    return np.asarray(
        hessian + np.eye(len(hessian)) * max(DAMPING * float(np.diag(hessian).mean()), LEAST_POWER)
    )


def inverse_moment(hessian: Array) -> Array:
    """[K,K] f64: the inverse of the damped moment matrix. Inputs that are always zero get an arbitrary one."""
    return np.asarray(np.linalg.inv(damped(hessian)))


def refit(weight: Array, hessian: Array, cross: Array, inverse: Array) -> Array:
    """[O][K]: the weights that best give the float network's outputs from the current, disturbed inputs."""
    return np.asarray(weight + weight @ (cross - hessian) @ inverse)


def block_scores(weight: Array, inverse: Array, block: Block) -> Array:
    """[rows][blocks] f64: error that dropping each block alone adds, best repair included. weight [rows*R][K]."""
    split = weight.reshape(-1, block.rows, weight.shape[1] // block.columns, block.columns)
    diagonal = np.linalg.inv(_diagonal_blocks(inverse, block.columns))
    solved = np.einsum("rokc,kcd->rokd", split, diagonal, optimize=True)
    return np.asarray((split * solved).sum(axis=(1, 3)))


def prune(weight: Array, inverse: Array, drops: Array, block: Block) -> tuple[Array, Mask]:
    """Drops ``drops[row]`` blocks of each row of blocks and repairs the rest.

    weight [rows*R][K], inverse [K,K] of ``inverse_moment``, drops [rows] int. Returns (weight, keep [rows][blocks]).
    """
    rows, k = len(drops), weight.shape[1]
    result = weight.reshape(rows, block.rows, k).astype(np.float32)
    keep = np.ones((rows, k // block.columns), np.bool_)
    batch = max(1, _BATCH_FLOATS // (k * k))
    order = np.argsort(drops, kind="stable")  # rows of one batch drop about as many
    for begin in range(0, rows, batch):
        part = order[begin : begin + batch]
        if drops[part].any():
            result[part], keep[part] = _prune_rows(result[part], inverse, drops[part], block.columns)
    return result.reshape(weight.shape), keep


def _diagonal_blocks(inverse: Array, columns: int) -> Array:
    blocks = len(inverse) // columns
    index = np.arange(blocks)
    return np.ascontiguousarray(inverse.reshape(blocks, columns, blocks, columns)[index, :, index, :])


def _prune_rows(weight: Array, inverse: Array, drops: Array, columns: int) -> tuple[Array, Mask]:
    """weight [B][R][K]; all B rows of blocks at once, ``_ROUNDS`` rounds of eliminations; n = ``columns``."""
    count, _, k = weight.shape
    blocks_of_row = k // columns
    w = torch.from_numpy(weight.copy())
    inv = torch.from_numpy(inverse.astype(np.float32)).expand(count, k, k).clone()
    keep = torch.ones(count, blocks_of_row, dtype=torch.bool)
    index = torch.arange(blocks_of_row)
    cut = (count, blocks_of_row, columns, blocks_of_row, columns)
    done = np.zeros(count, np.int64)
    for step in range(1, _ROUNDS + 1):
        wanted = drops * step // _ROUNDS - done
        done += wanted
        width = int(wanted.max())
        if width == 0:
            continue
        blocks = inv.view(cut)[:, index, :, index, :].transpose(0, 1)  # [B][blocks][n][n]
        blocks = blocks + torch.eye(columns) * (~keep)[..., None, None]  # eliminated ones are zero
        split = w.view(count, -1, blocks_of_row, columns).permute(0, 2, 3, 1)  # [B][blocks][n][R]
        scores = (split * (_inverse_of_small(blocks) @ split)).sum(dim=(2, 3))
        scores[~keep] = torch.inf
        chosen = torch.topk(scores, width, dim=1, largest=False).indices  # [B][width]
        used = torch.arange(width)[None] < torch.from_numpy(wanted)[:, None]
        _eliminate(w, inv, keep, chosen, used)
    return (w * keep.repeat_interleave(columns, dim=1)[:, None]).numpy(), keep.numpy()


def _eliminate(
    w: torch.Tensor, inv: torch.Tensor, keep: torch.Tensor, chosen: torch.Tensor, used: torch.Tensor
) -> None:
    """Drops blocks ``chosen`` [B][m] where ``used``; updates all three in place."""
    count, _, k = w.shape
    width = k // keep.shape[1]  # n, columns of a block
    columns = (chosen[..., None] * width + torch.arange(width)).reshape(count, -1)  # [B][mn]
    live = used.repeat_interleave(width, dim=1).to(inv.dtype)  # unused picks become no-ops
    rows = torch.gather(inv, 1, columns[..., None].expand(-1, -1, k)) * live[..., None]  # [B][mn][K]
    square = torch.gather(rows, 2, columns[:, None].expand(-1, columns.shape[1], -1)) * live[:, None]
    square = square + torch.diag_embed(1 - live)
    solved = torch.bmm(_inverse_of_small(square), rows)  # [B][mn][K]
    at = torch.gather(w, 2, columns[:, None].expand(-1, w.shape[1], -1)) * live[:, None]  # [B][R][mn]
    w.baddbmm_(at, solved, alpha=-1)
    inv.baddbmm_(rows.transpose(1, 2), solved, alpha=-1)
    batch = torch.arange(count)[:, None].expand_as(chosen)[used]
    keep[batch, chosen[used]] = False
    w.masked_fill_((~keep).repeat_interleave(width, dim=1)[:, None], 0.0)


def _inverse_of_small(matrices: torch.Tensor) -> torch.Tensor:
    """Inverses of symmetric positive definite [..., n, n] by Gauss-Jordan steps over the whole batch.

    A LAPACK call for each of hundreds of thousands of tiny matrices takes far longer.
    """
    a = matrices.clone()
    for i in range(a.shape[-1]):
        pivot = a[..., i, i].clone()
        row = a[..., i, :] / pivot[..., None]
        column = a[..., :, i].clone()
        a -= column[..., None] * row[..., None, :]
        a[..., :, i] = -column / pivot[..., None]
        a[..., i, :] = row
        a[..., i, i] = 1 / pivot
    return a
