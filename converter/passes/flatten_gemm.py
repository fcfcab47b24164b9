"""A fully connected layer on a flattened feature map is a convolution with a kernel of the map's size."""

from __future__ import annotations

import numpy as np

from ..ir import FloatArray, Graph, Node
from .rewrite import fresh

NHWC = (0, 2, 3, 1)


def flatten_gemm_to_conv(graph: Graph) -> None:
    """Rewrites gemm(reshape(x [1,C,H,W])), also of x transposed to NHWC; a gemm of anything else stays."""
    for node in [n for n in graph.nodes if n.op == "gemm"]:
        flatten = graph.producer(node.inputs[0])
        if flatten is None or flatten.op != "reshape":
            continue
        value = flatten.inputs[0]
        shape = graph.shapes[value]
        if len(shape) != 4 or shape[0] != 1:
            continue
        moved = graph.producer(value)
        weight = node.weights["weight"]  # [O, K]
        if moved is not None and moved.op == "transpose" and tuple(moved.attrs["perm"]) == NHWC:
            kernel = weight.reshape(-1, *shape[1:]).transpose(0, 3, 1, 2)
            _rewrite(graph, node, moved.inputs[0], np.ascontiguousarray(kernel))
        else:
            _rewrite(graph, node, value, weight.reshape(-1, *shape[1:]))


def _rewrite(graph: Graph, node: Node, image: str, weight: FloatArray) -> None:
    """``node`` becomes a conv on ``image`` whose [1,O,1,1] is reshaped to the gemm's [1,O]."""
    rows = graph.shapes[node.output]
    output = node.output
    result = fresh(graph, output, (1, weight.shape[0], 1, 1))
    node.op, node.inputs, node.output = "conv", [image], result
    node.weights = {"weight": weight, "bias": node.weights["bias"]}
    node.attrs |= {"strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0), "groups": 1}
    reshape = Node("reshape", f"{node.name}/flat", [result], output, {"shape": rows}, {}, list(node.source))
    graph.nodes.insert(graph.nodes.index(node) + 1, reshape)
