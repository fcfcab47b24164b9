"""x * gate(x) written out by exporters becomes one function: SiLU, hard-swish, Mish, GELU."""

from __future__ import annotations

import math

from ..ir import Graph, Node
from .rewrite import uniform

TOLERANCE = 1e-4  # constants such as 1/6 arrive rounded


def recognize_gates(graph: Graph) -> None:
    """Rewrites the last node of each pattern; what it no longer reads is dead code."""
    for node in list(graph.nodes):
        if node.op == "affine":
            _hard_sigmoid(graph, node)
    for node in list(graph.nodes):
        if node.op == "mul":
            _gated(graph, node)


def _near(a: float, b: float) -> bool:
    return abs(a - b) < TOLERANCE


def _become(node: Node, function: str, value: str, **attrs: float) -> None:
    node.op, node.inputs, node.weights = "unary", [value], {}
    node.attrs = {"function": function} | attrs


def _hard_sigmoid(graph: Graph, node: Node) -> None:
    """affine(clip(affine(x))) whose bounds become 0 and 1."""
    outer, clip = uniform(node), graph.producer(node.inputs[0])
    if outer is None or clip is None or clip.op != "clip":
        return
    first = graph.producer(clip.inputs[0])
    inner = uniform(first)
    if first is None or inner is None:
        return
    scale, offset = outer
    low, high = scale * clip.attrs["min"] + offset, scale * clip.attrs["max"] + offset
    if scale > 0 and _near(low, 0.0) and _near(high, 1.0):
        alpha, beta = inner[0] * scale, inner[1] * scale + offset
        _become(node, "hard_sigmoid", first.inputs[0], alpha=alpha, beta=beta)


def _gated(graph: Graph, node: Node) -> None:
    for x, gate in (node.inputs, node.inputs[::-1]):
        if _direct(graph, node, x, gate) or _scaled(graph, node, x, gate):
            return


def _direct(graph: Graph, node: Node, x: str, gate: str) -> bool:
    """mul(x, f(x)) with nothing left to scale."""
    source = graph.producer(gate)
    if source is None or source.op != "unary":
        return False
    function = source.attrs["function"]
    if function == "sigmoid" and source.inputs[0] == x:
        _become(node, "silu", x)
    elif function == "hard_sigmoid" and source.inputs[0] == x:
        if not (_near(source.attrs["alpha"], 1 / 6) and _near(source.attrs["beta"], 0.5)):
            return False
        _become(node, "hard_swish", x)
    elif function == "tanh" and _is_function(graph.producer(source.inputs[0]), "softplus", x):
        _become(node, "mish", x)
    else:
        return False
    return True


def _is_function(node: Node | None, function: str, x: str) -> bool:
    return (
        node is not None and node.op == "unary" and node.attrs["function"] == function and node.inputs[0] == x
    )


def _scaled(graph: Graph, node: Node, value: str, gate: str) -> bool:
    """mul(s * x, gate(x)) * p, s and p optional: hard-swish needs s * p = 1/6, GELU s * p * c = 1/2."""
    scale, x = 1.0, value
    scaled = uniform(graph.producer(value))
    found = _gate_kind(graph, x, gate)
    if found is None and scaled is not None and scaled[1] == 0.0:
        producer = graph.producer(value)
        assert producer is not None
        scale, x = scaled[0], producer.inputs[0]
        found = _gate_kind(graph, x, gate)
    if found is None:
        return False
    function, wanted = found
    if _near(scale, wanted):
        _become(node, function, x)
        return True
    after = graph.only_reader(node.output)
    factor = uniform(after)
    if after is None or factor is None or factor[1] != 0.0 or not _near(scale * factor[0], wanted):
        return False
    _become(after, function, x)
    return True


def _gate_kind(graph: Graph, x: str, gate: str) -> tuple[str, float] | None:
    """(function, factor that x * gate still needs) if ``gate`` is clip(x + 3, 0, 6) or c * (1 + erf(x / sqrt 2))."""
    source = graph.producer(gate)
    if source is None:
        return None
    inner = graph.producer(source.inputs[0])
    if source.op == "clip" and (source.attrs["min"], source.attrs["max"]) == (0.0, 6.0):
        shift = uniform(inner)
        if inner is not None and shift == (1.0, 3.0) and inner.inputs[0] == x:
            return "hard_swish", 1 / 6
    outer = uniform(source)
    if outer is None or not outer[0] == outer[1] != 0.0:
        return None
    if inner is None or inner.op != "unary" or inner.attrs["function"] != "erf":
        return None
    root = graph.producer(inner.inputs[0])
    narrow = uniform(root)
    if root is None or narrow is None or root.inputs[0] != x:
        return None
    return ("gelu", 0.5 / outer[0]) if _near(narrow[0], math.sqrt(0.5)) and narrow[1] == 0.0 else None
