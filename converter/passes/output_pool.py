"""A network that ends in a global average: pooled by quarters, so that the answer leaves as float32.

Average pooling writes u7. As a network's last operator it would round the answer itself to 128 levels, and close
classes would tie. Quarters are pooled instead, and a depthwise convolution of one pixel takes their mean: its sums
leave as float32, and four roundings, each of its own quarter, mostly cancel.
"""

from __future__ import annotations

import numpy as np

from lacewing.converter.quantization.forms import wanted_float

from ..ir import Graph, Node
from .rewrite import fresh


def split_output_pool(graph: Graph) -> None:
    """Rewrites global average pools whose result is an output, or moves into one or into a softmax."""
    wanted = wanted_float(graph)
    for node in [n for n in graph.nodes if n.op == "avg_pool" and n.output in wanted]:
        if _is_global(graph, node) and "clip" not in node.attrs:
            _split(graph, node)


def _is_global(graph: Graph, node: Node) -> bool:
    size = graph.shapes[node.inputs[0]][2:]
    return tuple(node.attrs["kernel"]) == tuple(size) != (1, 1) and not any(node.attrs.get("pads", ()))


def _split(graph: Graph, node: Node) -> None:
    channels, *size = graph.shapes[node.inputs[0]][1:]
    parts = [min(side, 2) for side in size]
    kernel = [-(-side // count) for side, count in zip(size, parts, strict=True)]
    bottom, right = (k * count - side for k, count, side in zip(kernel, parts, size, strict=True))
    share = float(np.prod(kernel)) / float(np.prod(size))  # padding counts in the parts, not in the whole
    result, node.output = node.output, fresh(graph, node.output, (1, channels, *parts))
    node.attrs |= {
        "kernel": tuple(kernel),
        "strides": tuple(kernel),
        "pads": (0, 0, bottom, right),
        "include_pad": True,
    }
    weights = {
        "weight": np.full((channels, 1, *parts), share, np.float32),
        "bias": np.zeros(channels, np.float32),
    }
    attrs = {"strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0), "groups": channels}
    mean = Node("conv", f"{node.name}/mean", [node.output], result, attrs, weights, list(node.source))
    graph.nodes.insert(graph.nodes.index(node) + 1, mean)
