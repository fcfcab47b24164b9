"""How much of each layer goes: the overall sparsity divided over the layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.errors import OptionError
from lacewing.converter.ir import Graph, Node
from lacewing.converter.options import MAX_SPARSITY, ConvertOptions
from lacewing.converter.quantization.layerwise import run_node
from lacewing.converter.sparsity import moments, obs
from lacewing.converter.sparsity.columns import to_columns
from lacewing.format.description import QUAD
from lacewing.format.model import ceil_div

Array = npt.NDArray[Any]

AUTO_BLOCK = obs.Block(2, QUAD)
DENSE = obs.Block(4, QUAD)  # what a dense layer is stored in
MIN_INPUTS = 16  # weights per output channel below which a layer stays dense
MIN_OUTPUTS = 8  # output channels below which it does
_LEAST, _MOST = 0.5, 1.5  # of the overall sparsity, that `global` may give one layer
MIN_PAYING_SPARSITY = 0.10  # below it the index of the kept blocks costs about what the dropped ones save


@dataclass(frozen=True)
class LayerBudget:
    """What happens to one layer: ``share`` of its [rows x columns] blocks goes; ``reason`` says why none does."""

    block: obs.Block
    share: float
    reason: str = ""


def plan_budget(
    graph: Graph, options: ConvertOptions, inputs: Mapping[str, Array], seed: int
) -> dict[str, LayerBudget]:
    """A budget for every conv and gemm. inputs: name -> [N, ...] f32. Raises OptionError for unknown layers."""
    layers = {n.name: n for n in graph.nodes if n.op in ("conv", "gemm")}
    _check_names(options, layers)
    budgets = {name: LayerBudget(DENSE, 0.0, _why_dense(graph, n)) for name, n in layers.items()}
    for name, choice in options.layers.items():
        if int(layers[name].attrs.get("groups", 1)) != 1:
            raise OptionError(f"--layer {name}: grouped and depthwise convolutions are not pruned")
        block = _block(choice.block, layers[name])
        budgets[name] = LayerBudget(block, choice.sparsity, "" if choice.sparsity else "as told")
    free = [layers[name] for name, b in budgets.items() if not b.reason and name not in options.layers]
    if not options.sparsity or not free:
        reason = "no sparsity asked for"
        return budgets | {n.name: LayerBudget(DENSE, 0.0, reason) for n in free}
    blocks = {n.name: _block(options.block, n) for n in free}
    shares = dict.fromkeys((n.name for n in free), options.sparsity)
    if options.budget == "global":
        shares = _global_shares(_survey(graph, blocks, inputs, seed), options.sparsity)
    return budgets | {name: _paying(blocks[name], share) for name, share in shares.items()}


def _block(name: str, node: Node) -> obs.Block:
    """Of the option's name. Where a row has an odd number of quads they cannot all pair: 4x8 becomes 4x4."""
    if name == "auto":
        return AUTO_BLOCK
    rows, columns = (int(size) for size in name.split("x"))
    paired = to_columns(node.weights["weight"][:1]).shape[1] % columns == 0
    return obs.Block(rows, columns if paired else QUAD)


def _check_names(options: ConvertOptions, layers: Mapping[str, Node]) -> None:
    unknown = sorted(set(options.layers) - set(layers))
    if unknown:
        raise OptionError(
            f"--layer {', '.join(unknown)}: no such layer; there are {', '.join(sorted(layers))}"
        )


def _why_dense(graph: Graph, node: Node) -> str:
    weight = node.weights["weight"]
    if int(node.attrs.get("groups", 1)) != 1:
        return "grouped or depthwise"
    if node.inputs[0] in graph.inputs or (node.op == "conv" and weight.shape[1] <= QUAD):
        return "first convolution"
    if weight[0].size < MIN_INPUTS or len(weight) < MIN_OUTPUTS:
        return "too small to gain"
    return ""


def _paying(block: obs.Block, share: float) -> LayerBudget:
    if share < MIN_PAYING_SPARSITY:
        return LayerBudget(DENSE, 0.0, f"sparsity {share:.2f} would not pay (below {MIN_PAYING_SPARSITY})")
    return LayerBudget(block, share)


def _survey(
    graph: Graph, blocks: Mapping[str, obs.Block], inputs: Mapping[str, Array], seed: int
) -> dict[str, Array]:
    """Per layer [blocks]: the error of dropping each block alone, relative to the layer's output power."""
    generator = np.random.default_rng(seed)
    values = dict(inputs)
    last_use = {v: i for i, n in enumerate(graph.nodes) for v in n.inputs}
    found: dict[str, Array] = {}
    for i, node in enumerate(graph.nodes):
        if node.name in blocks:
            source = values[node.inputs[0]]
            found[node.name] = _relative_scores(node, source, blocks[node.name], generator)
        values[node.output] = _with_clip(node, run_node(graph, node, values))
        for value in {v for v in node.inputs if last_use[v] == i}:
            del values[value]
    return found


def _with_clip(node: Node, array: Array) -> Array:
    low, high = node.attrs.get("clip", (-np.inf, np.inf))
    return np.clip(array, np.float32(low), np.float32(high))


def _relative_scores(node: Node, source: Array, block: obs.Block, generator: np.random.Generator) -> Array:
    hessian = moments.collect(node, source, source, generator).hessian
    weight = padded_rows(to_columns(node.weights["weight"]).astype(np.float64), block.rows)
    scores = obs.block_scores(weight, obs.inverse_moment(hessian), block)
    power = float(np.einsum("ok,kl,ol->", weight, hessian, weight, optimize=True))
    return np.asarray(scores.reshape(-1) / max(power, 1e-30))


def padded_rows(columns: Array, rows: int) -> Array:
    """[O][K] with zero rows up to a multiple of ``rows``."""
    return np.pad(columns, ((0, ceil_div(len(columns), rows) * rows - len(columns)), (0, 0)))


def _global_shares(survey: dict[str, Array], sparsity: float) -> dict[str, float]:
    """Drops the blocks with the smallest relative errors of the whole network, within bounds for each layer.

    Unbounded, the large last layers would take it all: cheap in error, but hardly any time is spent there.
    """
    low, high = _LEAST * sparsity, min(_MOST * sparsity, MAX_SPARSITY)
    scores = {name: np.sort(s) for name, s in survey.items()}
    counts = {name: round(low * len(s)) for name, s in scores.items()}
    candidates = [s[counts[name] : round(high * len(s))] for name, s in scores.items()]
    left = round(sparsity * sum(len(s) for s in scores.values())) - sum(counts.values())
    pool = np.sort(np.concatenate(candidates))
    threshold = pool[min(left, len(pool)) - 1] if left > 0 and len(pool) else -np.inf
    for (name, s), free in zip(scores.items(), candidates, strict=True):
        counts[name] += int(np.searchsorted(free, threshold, side="right"))
    return {name: counts[name] / len(s) for name, s in scores.items()}
