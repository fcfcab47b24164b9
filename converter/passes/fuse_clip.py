"""A clamp becomes part of the operator before it."""

from __future__ import annotations

import math

from ..ir import Graph
from .rewrite import bypass, source_of

CLAMPING = ("conv", "gemm", "add", "mul", "avg_pool")


def fuse_clip(graph: Graph) -> None:
    """Sets ``attrs["clip"]`` on the producer, also across reshape and transpose; joins clips in a row."""
    for node in [n for n in graph.nodes if n.op == "clip"]:
        low, high = float(node.attrs["min"]), float(node.attrs["max"])
        if math.isinf(low) and math.isinf(high) and low < high and bypass(graph, node):
            continue
        source = source_of(graph, node.inputs[0], ("reshape", "transpose"))
        if source is None or source.op not in (*CLAMPING, "clip"):
            continue
        if source.op == "clip":
            before = (float(source.attrs["min"]), float(source.attrs["max"]))
        else:
            before = source.attrs.get("clip", (-math.inf, math.inf))
        joined = tuple(min(max(bound, low), high) for bound in before)
        if not bypass(graph, node):
            continue
        if source.op == "clip":
            source.attrs["min"], source.attrs["max"] = joined
        else:
            source.attrs["clip"] = joined
        source.source += [name for name in node.source if name not in source.source]
