"""What dropping each block of each layer would cost, from calibration data: second-order scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.ir import Graph, Node
from lacewing.converter.quantization.layerwise import run_node
from lacewing.converter.sparsity import moments, obs
from lacewing.converter.sparsity.columns import padded_rows, to_columns

Array = npt.NDArray[Any]
Scores = dict[obs.Block, Array]


def survey(
    graph: Graph, blocks: Mapping[str, Sequence[obs.Block]], inputs: Mapping[str, Array], seed: int
) -> dict[str, Scores]:
    """Per layer of ``blocks`` and block size [blocks] f64, rising: the error of dropping each block alone.

    Errors are relative to the power of the layer's output. inputs: name -> [N, ...] f32.
    """
    generator = np.random.default_rng(seed)
    values = dict(inputs)
    last_use = {v: i for i, n in enumerate(graph.nodes) for v in n.inputs}
    found: dict[str, Scores] = {}
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


def _relative_scores(
    node: Node, source: Array, blocks: Sequence[obs.Block], generator: np.random.Generator
) -> Scores:
    hessian = moments.collect(node, source, source, generator).hessian
    inverse = obs.inverse_moment(hessian)
    weight = to_columns(node.weights["weight"]).astype(np.float64)
    power = max(float(np.einsum("ok,kl,ol->", weight, hessian, weight, optimize=True)), 1e-30)
    return {
        block: np.sort(obs.block_scores(padded_rows(weight, block.rows), inverse, block), axis=None) / power
        for block in blocks
    }
