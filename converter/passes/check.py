"""The last pass: every value fits the file format, every operator is canonical, nothing is read before it is made."""

from __future__ import annotations

import math

from lacewing.format.description import MAX_DIM, MAX_ELEMENTS, MAX_RANK

from ..errors import Problem, UnsupportedModelError
from ..ir import Graph, Node

CANONICAL = frozenset(
    [
        "conv",
        "gemm",
        "add",
        "mul",
        "clip",
        "unary",
        "prelu",
        "avg_pool",
        "max_pool",
        "concat",
        "pad",
        "resize",
    ]
    + ["softmax", "reshape", "transpose"]
)


def check_canonical(graph: Graph) -> None:
    """Raises UnsupportedModelError with every value that is too large for a ``.lace`` file.

    An operator that is not canonical, or a value used before it is computed, is a bug of a pass: RuntimeError.
    """
    known = set(graph.inputs)
    problems = [problem for name in graph.inputs if (problem := _limit(graph, name, "input", name))]
    for node in graph.nodes:
        if node.op not in CANONICAL or not known.issuperset(node.inputs) or node.output in known:
            raise RuntimeError(f"a pass left an impossible node: {node.op} '{node.name}'")
        known.add(node.output)
        problems += [problem for problem in (_node_limit(graph, node),) if problem]
    if not known.issuperset(graph.outputs):
        raise RuntimeError("a pass dropped a graph output")
    if problems:
        raise UnsupportedModelError(problems)


def _node_limit(graph: Graph, node: Node) -> Problem | None:
    for name, array in node.weights.items():
        if not bool(abs(array).max(initial=0.0) < math.inf):
            return Problem(node.name, node.op, name, "folding made a weight infinite", "check the training")
    return _limit(graph, node.name, node.op, node.output)


def _limit(graph: Graph, name: str, op: str, value: str) -> Problem | None:
    shape = graph.shapes[value]
    fits = 1 <= len(shape) <= MAX_RANK and max(shape) <= MAX_DIM and min(shape) >= 1
    if fits and math.prod(shape) <= MAX_ELEMENTS:
        return None
    reason = f"shape {list(shape)} is not 1 to {MAX_RANK} dimensions of 1 to {MAX_DIM}, {MAX_ELEMENTS} elements at most"
    return Problem(name, op, "", reason, "cut the model there or choose a smaller input")
