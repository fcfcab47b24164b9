"""What each weight is worth before anything is pruned: the power that it adds to its layer's output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.execute import Executor
from lacewing.converter.ir import Graph, Node

Array = npt.NDArray[Any]


def weight_saliency(
    graph: Graph, layers: Iterable[str], inputs: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """{layer: f64 in the shape of its weight}: w^2 times the variance of its input channel, 1 without ``inputs``.

    Means do not count: the bias makes up for them. A normalization that follows scales the rows. inputs: name ->
    [N, ...] f32, calibration samples. It is the diagonal of the second-order score of ``obs.py``.
    """
    wanted = set(layers)
    nodes = [n for n in graph.nodes if n.name in wanted]
    power = _variances(graph, [n.inputs[0] for n in nodes], inputs) if inputs is not None and nodes else {}
    found = {}
    for node in nodes:
        weight = node.weights["weight"].astype(np.float64)
        taps = (1,) * (weight.ndim - 2)
        saliency = np.square(weight * row_scale(graph, node).reshape(-1, 1, *taps))
        if node.inputs[0] in power:
            saliency *= power[node.inputs[0]].reshape(1, -1, *taps)
        found[node.name] = saliency
    return found


def _variances(graph: Graph, values: list[str], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """value -> [C] f64, over samples and pixels, one sample at a time."""
    executor = Executor(graph, values)
    count = len(next(iter(inputs.values())))
    means: dict[str, list[Array]] = {v: [] for v in executor.values}
    squares: dict[str, list[Array]] = {v: [] for v in executor.values}
    for i in range(count):
        for value, array in executor.run({v: a[i : i + 1] for v, a in inputs.items()}).items():
            wide = array.astype(np.float64)
            pixels = (0, *range(2, wide.ndim))
            means[value].append(wide.mean(axis=pixels))
            squares[value].append(np.square(wide).mean(axis=pixels))
    return {
        v: np.maximum(np.mean(squares[v], axis=0) - np.square(np.mean(means[v], axis=0)), 0)
        for v in executor.values
    }


def row_scale(graph: Graph, node: Node) -> Array:
    """[O] f64: by what a normalization multiplies the layer's outputs, 1 where none is the only reader."""
    ones, reader = np.ones(len(node.weights["weight"])), graph.only_reader(node.output)
    if reader is None:
        return ones
    weights = {name: array.astype(np.float64) for name, array in reader.weights.items()}
    if reader.op == "affine":
        return ones * weights["scale"]
    if reader.op == "batch_norm":
        return np.asarray(weights["scale"] / np.sqrt(weights["variance"] + float(reader.attrs["epsilon"])))
    return ones


def is_normalized(graph: Graph, node: Node) -> bool:
    """Whether a batch norm is the layer's only reader."""
    reader = graph.only_reader(node.output)
    return reader is not None and reader.op == "batch_norm"
