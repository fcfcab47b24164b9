"""A network without some of its channels: the layers that read them make up for what is gone by least squares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.ir import Graph, Node
from lacewing.converter.quantization.layerwise import channel_means, run_node, walk_float
from lacewing.converter.sparsity import moments, obs
from lacewing.converter.sparsity.columns import to_columns
from lacewing.converter.sparsity.permutation_sets import Orders, is_dense, permute
from lacewing.converter.sparsity.saliency import row_scale

Array = npt.NDArray[Any]


def without_channels(
    graph: Graph, kept: Orders, inputs: Mapping[str, Array], seed: int
) -> tuple[Graph, float]:
    """(the network with the channels ``kept``, the error of that); ``graph``, raw or canonical, stays as it is.

    kept: value -> [C'], rising, for all values of a set of tied channels alike. inputs: name -> [N, ...] f32. The error is
    the sum over the layers that read those values, each relative to the power of its output.
    """
    result, error = permute(graph, kept), 0.0
    if not kept:
        return result, error
    generator = np.random.default_rng(seed)
    for (node, values, wanted), narrower in zip(walk_float(graph, inputs), result.nodes, strict=True):
        stay = kept.get(node.inputs[0])
        if stay is None or not is_dense(node):
            continue
        source = values[node.inputs[0]]
        rows = kept.get(node.output, np.arange(len(node.weights["weight"])))
        weight, lost = _refitted(node, source, stay, row_scale(graph, node), generator)
        error += lost
        narrower.weights["weight"] = weight[rows]
        got = run_node(result, narrower, {node.inputs[0]: source[:, stay]})
        bias = narrower.weights["bias"] + channel_means(wanted)[rows] - channel_means(got)
        narrower.weights["bias"] = bias.astype(np.float32)
    return result, error


def _refitted(
    node: Node, source: Array, stay: Array, scale: Array, generator: np.random.Generator
) -> tuple[Array, float]:
    """[O,C',...] f32: the weights that best give the layer's outputs from the channels ``stay`` alone; their error.

    scale [O]: by what the outputs are multiplied before anything else sees them.
    """
    weight = node.weights["weight"]
    hessian = moments.collect(node, source, source, generator).hessian
    columns = to_columns(weight).astype(np.float64)
    taps = int(np.prod(weight.shape[2:]))
    at = np.arange(columns.shape[1]).reshape(taps, -1)
    left = at[:, stay].ravel()
    gone = np.setdiff1d(at, left)
    repair = columns[:, gone] @ hessian[np.ix_(gone, left)] @ obs.inverse_moment(hessian[np.ix_(left, left)])
    change = -columns
    change[:, left] = repair
    fitted = (columns + change)[:, left].reshape(len(weight), taps, len(stay)).swapaxes(1, 2)
    scale = scale[:, None]
    error = obs.power(change * scale, hessian) / max(obs.power(columns * scale, hessian), 1e-30)
    return fitted.reshape(len(weight), len(stay), *weight.shape[2:]).astype(np.float32), error
