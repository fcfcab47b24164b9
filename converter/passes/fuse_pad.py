"""Padding with zeros moves into the convolution or pooling that reads it."""

from __future__ import annotations

from ..ir import Graph, Node
from .rewrite import bypass

NON_NEGATIVE = ("sigmoid", "hard_sigmoid", "softplus", "exp", "abs")
KEEPS_SIGN = ("max_pool", "avg_pool", "reshape", "transpose", "resize", "concat", "pad")


def fuse_pad(graph: Graph) -> None:
    """Redirects every reader that can pad by itself; dead code removes the pad when none is left."""
    for node in [n for n in graph.nodes if n.op == "pad"]:
        if not any(node.attrs["pads"]) and bypass(graph, node):
            continue
        for reader in graph.consumers(node.output):
            if _can_pad(graph, node, reader):
                reader.inputs = [node.inputs[0]]
                pairs = zip(reader.attrs["pads"], node.attrs["pads"], strict=True)
                reader.attrs["pads"] = tuple(own + more for own, more in pairs)
                reader.source = [*node.source, *reader.source]
                if reader.op == "avg_pool":
                    reader.attrs["include_pad"] = True


def _can_pad(graph: Graph, pad: Node, reader: Node) -> bool:
    if reader.op in ("conv", "pad"):
        return True
    if reader.op == "avg_pool":
        return bool(reader.attrs["include_pad"]) or not any(reader.attrs["pads"])
    if reader.op == "max_pool":
        # Zeros beside the image lose against values that are not negative, if each window holds one of those.
        kernel = reader.attrs["kernel"]
        total = [own + more for own, more in zip(reader.attrs["pads"], pad.attrs["pads"], strict=True)]
        inside = all(amount < kernel[side % 2] for side, amount in enumerate(total))
        return inside and is_non_negative(graph, pad.inputs[0])
    return False


def is_non_negative(graph: Graph, value: str) -> bool:
    """Whether ``value`` is provably >= 0 everywhere."""
    node = graph.producer(value)
    if node is None:
        return False
    if node.op == "clip" or "clip" in node.attrs:
        low = node.attrs["min"] if node.op == "clip" else node.attrs["clip"][0]
        return bool(low >= 0)
    if node.op == "unary":
        return node.attrs["function"] in NON_NEGATIVE
    return node.op == "softmax" or (
        node.op in KEEPS_SIGN and all(is_non_negative(graph, v) for v in node.inputs)
    )
