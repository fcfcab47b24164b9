"""Every n-th pixel: a pooling with a 1x1 window becomes the stride of the pooling or 1x1 convolution that reads it."""

from __future__ import annotations

from typing import Any

from ..ir import Graph, Node
from .rewrite import bypass


def merge_subsampling(graph: Graph) -> None:
    """Redirects every reader that can take the stride over; dead code removes the pooling when none is left."""
    for node in list(graph.nodes):
        if _is_subsampling(node) and tuple(node.attrs["strides"]) == (1, 1) and bypass(graph, node):
            continue
        before = graph.producer(node.inputs[0])
        if before is None or not _is_subsampling(before) or not _keeps_grid(node):
            continue
        pairs = zip(before.attrs["strides"], node.attrs["strides"], strict=True)
        node.attrs["strides"] = tuple(outer * inner for outer, inner in pairs)
        node.inputs = [before.inputs[0]]
        node.source = [*before.source, *(name for name in node.source if name not in before.source)]


def _is_subsampling(node: Node) -> bool:
    """Whether a pooling only drops pixels: maximum or average of one."""
    return node.op in ("max_pool", "avg_pool") and "clip" not in node.attrs and _is_pixel(node.attrs)


def _keeps_grid(node: Node) -> bool:
    """Whether each result depends on one pixel, so that a stride before it is a stride of its own."""
    if node.op == "conv":
        return node.weights["weight"].shape[2:] == (1, 1) and not any(node.attrs["pads"])
    return node.op in ("max_pool", "avg_pool") and _is_pixel(node.attrs)


def _is_pixel(attrs: dict[str, Any]) -> bool:
    return tuple(attrs["kernel"]) == (1, 1) and not any(attrs["pads"])
