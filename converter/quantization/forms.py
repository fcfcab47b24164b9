"""Which values stay float32: network outputs and softmax inputs that come straight from an accumulator."""

from __future__ import annotations

import math

from lacewing.converter.ir import Graph, Node

_MOVES_PLAIN = ("reshape", "transpose", "concat")  # may move float32 as well as u7
_ACCUMULATES = ("conv", "gemm", "avg_pool")  # u7 in, u7 or float32 out


def float_values(graph: Graph) -> set[str]:
    """Names of the values that are computed as float32; all others are u7 activations."""
    wanted = _wanted(graph)
    while True:
        result = set(graph.inputs)
        for node in graph.nodes:
            if node.op == "softmax" or (node.output in wanted and _can_be_float(node, result)):
                result.add(node.output)
        # A pool that anything computes on in u7 rounds once, to the levels that are read, and keeps its fast kernel.
        rounded = {v for n in graph.nodes if reads_u7(n, result) for v in n.inputs}
        pools = {n.output for n in graph.nodes if n.op == "avg_pool" and n.output in result & rounded}
        if not pools:
            return result
        wanted -= pools


def reads_u7(node: Node, floats: set[str]) -> bool:
    """Whether ``node`` computes on u7 inputs, whatever it writes; ``floats`` are the float values."""
    return node.op in _ACCUMULATES or node.output not in floats


def is_depthwise(node: Node) -> bool:
    """Whether the engine's depthwise operator computes this conv: one filter per channel."""
    groups = int(node.attrs.get("groups", 1))
    return groups > 1 and node.weights["weight"].shape[:2] == (groups, 1)


def has_clip(node: Node) -> bool:
    """Whether a fused clamp cuts anything off."""
    low, high = node.attrs.get("clip", (-math.inf, math.inf))
    return bool(low > -math.inf or high < math.inf)


def _wanted(graph: Graph) -> set[str]:
    wanted = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.op == "softmax" or (node.op in _MOVES_PLAIN and node.output in wanted):
            wanted.update(node.inputs)
    return wanted


def _can_be_float(node: Node, floats: set[str]) -> bool:
    if node.op in _MOVES_PLAIN:
        return all(v in floats for v in node.inputs)
    return node.op in _ACCUMULATES and not has_clip(node) and not is_depthwise(node)
