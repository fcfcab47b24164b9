"""Prunes one layer to its budget: which blocks go, and least squares for what stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.ir import Node
from lacewing.converter.lowering.blocks import occupied
from lacewing.converter.quantization.plan import LayerPlan
from lacewing.converter.sparsity import moments, obs
from lacewing.converter.sparsity.budget import LayerBudget
from lacewing.converter.sparsity.columns import from_columns, padded_rows, to_columns
from lacewing.converter.sparsity.repair import masked_least_squares
from lacewing.format.description import QUAD

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

_ELIMINATION_LIMIT = 2e11  # floating point operations; above it the repair is iterative
_QUIETEST = 1e-6  # of the loudest row's output power, that every row counts as at least


def prune_layer(
    node: Node,
    layer: LayerPlan,
    budget: LayerBudget,
    current: Array,
    reference: Array,
    generator: np.random.Generator,
    normalized: bool = False,
) -> Mask | None:
    """Changes ``layer`` in place: weights, block rows, kept blocks. Returns [rows][blocks] kept; None if all are.

    current, reference: the layer's inputs [N,C,H,W] or [N,K] f32 in the network so far and in the float one.
    normalized: whether a batch norm follows, which makes rows alike by itself.
    """
    block = budget.block
    layer.block_rows, layer.dense_reason = block.rows, budget.reason
    if not budget.share:
        return None
    seen = moments.collect(node, current, reference, generator)
    inverse = obs.inverse_moment(seen.hessian)
    weight = padded_rows(to_columns(layer.weight).astype(np.float64), block.rows)
    # The answers of a head are compared with one another as they are.
    factors = np.ones((len(weight), 1)) if normalized or budget.head else row_factors(weight, seen.hessian)
    target = obs.refit(weight * factors, seen.hessian, seen.cross, inverse)
    scores = obs.block_scores(target, inverse, block)
    drops = cheapest(spared(scores) if budget.head else scores, round(budget.share * scores.size))
    pruned, keep = _solve(target, seen.hessian, inverse, drops, block)
    layer.weight = from_columns((pruned / factors)[: len(layer.weight)], layer.weight.shape).astype(
        np.float32
    )
    layer.keep = quads_of(keep, block) & occupied(_as_conv(layer.weight), block.rows)
    return keep


def row_factors(weight: Array, hessian: Array) -> Array:
    """[O][1] f64: what rows [O][K] are multiplied by so that each counts by the root of its output's power, not by all of it.

    The layers behind read quiet outputs too (docs/trials.md). hessian [K,K] f64: the inputs' moments.
    """
    power = obs.row_power(weight, hessian)
    least = max(_QUIETEST * float(power.max()), obs.LEAST_POWER)
    return np.asarray(np.maximum(power, least)[:, None] ** -0.25)


def quads_of(keep: Mask, block: obs.Block) -> Mask:
    """[rows][K4]: the quads of input channels that kept blocks, [rows][blocks], have a part in."""
    if block.columns < QUAD:
        return np.asarray(keep.reshape(len(keep), -1, QUAD // block.columns).any(axis=2))
    return np.repeat(keep, block.columns // QUAD, axis=1)


def spared(scores: Array) -> Array:
    """[rows][blocks]: the best block of each row made infinite, so that a row goes whole only if each has one left."""
    found = scores.copy()
    found[np.arange(len(scores)), scores.argmax(axis=1)] = np.inf
    return found


def cheapest(scores: Array, count: int) -> Mask:
    """[rows][blocks]: the ``count`` blocks with the smallest scores."""
    flat = np.zeros(scores.size, np.bool_)
    flat[np.argsort(scores, axis=None, kind="stable")[:count]] = True
    return flat.reshape(scores.shape)


def _solve(target: Array, hessian: Array, inverse: Array, drop: Mask, block: obs.Block) -> tuple[Array, Mask]:
    k = target.shape[1]
    if 2.0 * k * k * block.columns * drop.sum() <= _ELIMINATION_LIMIT:
        return obs.prune(target, inverse, drop.sum(axis=1), block)
    wide = np.repeat(np.repeat(~drop, block.rows, axis=0), block.columns, axis=1)
    return masked_least_squares(target, obs.damped(hessian), wide), ~drop


def _as_conv(weight: Array) -> Array:
    return weight if weight.ndim == 4 else weight[:, :, None, None]
