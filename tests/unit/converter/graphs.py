"""Hand-made float graphs for the converter's tests."""

from __future__ import annotations

import numpy as np

from lacewing.converter.ir import Graph, Node


def conv(
    rng, graph_shapes, name, source, channels, kernel=3, groups=1, pads=(1, 1, 1, 1), strides=(1, 1), **attrs
):
    """Appends the output's shape to ``graph_shapes``; returns the node, its output named like it."""
    _, c, h, w = graph_shapes[source]
    out = [(s + pads[i] + pads[i + 2] - kernel) // strides[i] + 1 for i, s in enumerate((h, w))]
    graph_shapes[name] = (1, channels, *out)
    weight = rng.normal(size=(channels, c // groups, kernel, kernel)) / np.sqrt(c // groups * kernel * kernel)
    return Node(
        "conv",
        name,
        [source],
        name,
        {"strides": strides, "dilations": (1, 1), "pads": pads, "groups": groups, **attrs},
        {"weight": weight.astype(np.float32), "bias": rng.normal(size=channels).astype(np.float32) * 0.1},
        [name],
    )


RELU = (0.0, float("inf"))
RELU6 = (0.0, 6.0)


def residual_network(seed=0):
    """Stem, depthwise, grouped and pointwise convs, residual add, concat, table, pools, a classifier: [1,10]."""
    rng = np.random.default_rng(seed)
    shapes = {"x": (1, 3, 16, 16)}
    shapes |= {
        "sum": (1, 16, 16, 16),
        "swish": (1, 16, 16, 16),
        "both": (1, 32, 16, 16),
        "pool": (1, 32, 8, 8),
    }
    shapes |= {"merged": (1, 32, 8, 8), "mean": (1, 32, 1, 1), "logits4": (1, 10, 1, 1), "logits": (1, 10)}
    nodes = [
        conv(rng, shapes, "stem", "x", 16, clip=RELU),
        conv(rng, shapes, "dw", "stem", 16, groups=16, clip=RELU6),
        conv(rng, shapes, "project", "dw", 16, kernel=1, pads=(0, 0, 0, 0)),
        Node("add", "sum", ["stem", "project"], "sum"),
        conv(rng, shapes, "grouped", "sum", 16, groups=2, clip=RELU),
        Node("unary", "swish", ["sum"], "swish", {"function": "hard_swish"}),
        Node("concat", "both", ["grouped", "swish"], "both", {"axis": 1}),
        Node(
            "max_pool", "pool", ["both"], "pool", {"kernel": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0)}
        ),
        conv(rng, shapes, "wide", "both", 32, strides=(2, 2), clip=RELU),
        Node("add", "merged", ["pool", "wide"], "merged"),
        Node(
            "avg_pool",
            "mean",
            ["merged"],
            "mean",
            {"kernel": (8, 8), "strides": (1, 1), "pads": (0, 0, 0, 0), "include_pad": False},
        ),
        conv(rng, shapes, "logits4", "mean", 10, kernel=1, pads=(0, 0, 0, 0)),
        Node("reshape", "logits", ["logits4"], "logits", {"shape": (1, 10)}),
    ]
    return Graph("residual", ["x"], ["logits"], nodes, shapes)


def single(node, input_shapes, output_shape):
    """A graph of one node."""
    shapes = {**input_shapes, node.output: output_shape}
    return Graph(node.name, list(input_shapes), [node.output], [node], shapes)


def samples(graph, count=8, seed=1):
    """Random calibration samples."""
    rng = np.random.default_rng(seed)
    return [
        {v: rng.normal(size=graph.shapes[v]).astype(np.float32) for v in graph.inputs} for _ in range(count)
    ]
