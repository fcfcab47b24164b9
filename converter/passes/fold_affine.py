"""Affine maps disappear into the weights before or after them; what stays becomes a depthwise 1x1 convolution."""

from __future__ import annotations

import math

import numpy as np

from ..errors import Problem, UnsupportedModelError
from ..ir import FloatArray, Graph, Node
from .rewrite import bypass, fresh, is_private

LINEAR = ("conv", "gemm", "affine")


def merge_affine(graph: Graph) -> None:
    """Affine maps in a row become one."""
    for node in [n for n in graph.nodes if n.op == "affine"]:
        before = graph.producer(node.inputs[0]) if is_private(graph, node.inputs[0]) else None
        if before is not None and before.op == "affine" and bypass(graph, node):
            _scale_outputs(before, node)


def fold_affine(graph: Graph) -> None:
    """Folds each affine into the conv, gemm or affine before it, else into the one after it."""
    for node in [n for n in graph.nodes if n.op == "affine"]:
        before = _linear_before(graph, node)
        if before is not None and bypass(graph, node):
            _scale_outputs(before, node)
    for node in [n for n in graph.nodes if n.op == "affine"]:
        after = _linear_after(graph, node)
        if after is not None and bypass(graph, node):
            _scale_inputs(after, node)


def _linear_before(graph: Graph, node: Node) -> Node | None:
    """The operator whose outputs ``node`` maps; a reshape that keeps the channels may stand between."""
    value = node.inputs[0]
    while is_private(graph, value):
        producer = graph.producer(value)
        if producer is None:
            return None
        if producer.op in LINEAR:
            return producer if "clip" not in producer.attrs else None
        if producer.op != "reshape" or graph.shapes[value][:2] != graph.shapes[producer.inputs[0]][:2]:
            return None
        value = producer.inputs[0]
    return None


def _scale_outputs(linear: Node, affine: Node) -> None:
    scale, offset = (affine.weights[name].astype(np.float64) for name in ("scale", "offset"))
    matrix, bias = ("scale", "offset") if linear.op == "affine" else ("weight", "bias")
    weight = linear.weights[matrix]
    factors = scale.reshape((-1,) + (1,) * (weight.ndim - 1))
    linear.weights[matrix] = (weight * factors).astype(np.float32)
    linear.weights[bias] = (linear.weights[bias] * scale + offset).astype(np.float32)
    linear.source += [name for name in affine.source if name not in linear.source]


def _linear_after(graph: Graph, node: Node) -> Node | None:
    """The operator that reads ``node``, provided that its zero padding is not mapped along."""
    reader = graph.only_reader(node.output)
    if reader is None:
        return None
    if reader.op == "gemm" or (
        reader.op == "conv" and (not any(reader.attrs["pads"]) or not node.weights["offset"].any())
    ):
        return reader
    return None


def _scale_inputs(linear: Node, affine: Node) -> None:
    scale, offset = (affine.weights[name].astype(np.float64) for name in ("scale", "offset"))
    weight = linear.weights["weight"].astype(np.float64)  # [O, C/g, kh, kw] or [O, K]
    taps = (1,) * (weight.ndim - 2)
    per_group = weight.shape[1]
    groups = np.arange(weight.shape[0]) // (weight.shape[0] // int(linear.attrs.get("groups", 1)))
    channels = groups[:, None] * per_group + np.arange(per_group)  # [O, C/g], input channel of each weight
    moved = (
        (weight * offset[channels].reshape(*channels.shape, *taps)).reshape(weight.shape[0], -1).sum(axis=1)
    )
    linear.weights["bias"] = (linear.weights["bias"] + moved).astype(np.float32)
    linear.weights["weight"] = (weight * scale[channels].reshape(*channels.shape, *taps)).astype(np.float32)
    linear.source += [name for name in affine.source if name not in linear.source]


def affine_to_depthwise(graph: Graph) -> None:
    """Rewrites every affine that is left. Raises UnsupportedModelError for one without a batch axis of 1."""
    problems = []
    for node in [n for n in graph.nodes if n.op == "affine"]:
        shape = graph.shapes[node.output]
        if len(shape) < 2 or shape[0] != 1:
            reason = f"scale and offset on a tensor of shape {list(shape)}"
            problems.append(Problem(node.name, "affine", "", reason, "the first axis must be a batch of 1"))
            continue
        _depthwise(graph, node, shape)
    if problems:
        raise UnsupportedModelError(problems)


def _depthwise(graph: Graph, node: Node, shape: tuple[int, ...]) -> None:
    scale: FloatArray = node.weights["scale"]
    weights = {"weight": scale.reshape(-1, 1, 1, 1), "bias": node.weights["offset"]}
    attrs = {"strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0), "groups": int(scale.size)}
    if len(shape) == 4:
        node.op, node.attrs, node.weights = "conv", attrs, weights
        return
    view = (1, shape[1], math.prod(shape[2:]), 1)
    image, result = fresh(graph, node.inputs[0], view), fresh(graph, node.output, view)
    at = graph.nodes.index(node)
    graph.nodes[at : at + 1] = [
        Node("reshape", f"{node.name}/in", list(node.inputs), image, {"shape": view}, {}, list(node.source)),
        Node("conv", node.name, [image], result, attrs, weights, list(node.source)),
        Node("reshape", f"{node.name}/out", [result], node.output, {"shape": shape}, {}, list(node.source)),
    ]
