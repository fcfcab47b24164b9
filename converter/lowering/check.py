"""What the engine cannot run, found before any work is done, all of it at once."""

from __future__ import annotations

from collections.abc import Iterator

from lacewing.converter.errors import Problem
from lacewing.converter.ir import Graph, Node
from lacewing.converter.lowering.builder import quads_dims
from lacewing.converter.lowering.tables import UNARY
from lacewing.format.description import MAX_DIM, MAX_ELEMENTS, MAX_RANK

_NEEDS_QUADS = ("conv", "gemm", "avg_pool", "max_pool", "pad", "resize")


def problems(graph: Graph, known: set[str]) -> list[Problem]:
    """Every reason why ``graph`` cannot be lowered; ``known`` are the operators with a lowering."""
    found = [p for value in graph.shapes for p in _value_problems(graph, value)]
    found += [p for node in graph.nodes for p in _node_problems(graph, node, known)]
    return found + list(_edge_problems(graph))


def _value_problems(graph: Graph, value: str) -> Iterator[Problem]:
    shape = graph.shapes[value]
    if not 1 <= len(shape) <= MAX_RANK:
        yield Problem(value, "value", "", f"has rank {len(shape)}, supported are 1 to {MAX_RANK}")
        return
    elements = 1
    for dim in shape:
        elements *= dim
        if not 1 <= dim <= MAX_DIM:
            yield Problem(value, "value", "", f"has a dimension of {dim}, supported are 1 to {MAX_DIM}")
    if elements > MAX_ELEMENTS:
        yield Problem(value, "value", "", f"has {elements} elements, at most {MAX_ELEMENTS} are supported")


def _node_problems(graph: Graph, node: Node, known: set[str]) -> Iterator[Problem]:
    if node.op not in known:
        yield Problem(node.name, node.op, "", "no operator of the engine computes this")
        return
    shapes = [tuple(graph.shapes[v]) for v in (*node.inputs, node.output)]
    if node.op in _NEEDS_QUADS and any(quads_dims(s) is None for s in shapes):
        yield Problem(
            node.name, node.op, "", f"needs batch 1, not shapes {shapes}", "export with batch size 1"
        )
    if node.op == "unary" and node.attrs["function"] not in UNARY:
        yield Problem(node.name, str(node.attrs["function"]), "", "no table for this function")
    if node.op == "add" and shapes[0] != shapes[1]:
        yield Problem(node.name, "add", "", f"adds shapes {shapes[0]} and {shapes[1]}: only equal shapes add")
    if node.op == "mul" and not _mul_fits(shapes):
        yield Problem(node.name, "mul", "", f"multiplies {shapes[0]} by {shapes[1]}: equal or [1,C,1,1] only")
    if node.op in ("prelu", "affine") and not _per_channel_fits(node, shapes[0]):
        yield Problem(node.name, node.op, "", f"has per-channel constants on shape {shapes[0]}")


def _mul_fits(shapes: list[tuple[int, ...]]) -> bool:
    a, b, out = shapes
    if a == b == out:
        return True
    small = b if a == out else a
    return len(out) == 4 and len(small) == 4 and small == (1, out[1], 1, 1) and out in (a, b)


def _per_channel_fits(node: Node, shape: tuple[int, ...]) -> bool:
    sizes = {w.size for w in node.weights.values()} - {1}
    quads = quads_dims(shape)
    return not sizes or (quads is not None and sizes == {quads[1]})


def _edge_problems(graph: Graph) -> Iterator[Problem]:
    for value in graph.outputs:
        if value in graph.inputs:
            yield Problem(
                value, "output", "", "is an input that passes through unchanged", "drop this output"
            )
    if len(set(graph.outputs)) != len(graph.outputs):
        yield Problem(", ".join(graph.outputs), "output", "", "one value is an output twice", "name it once")
    if not graph.nodes:
        yield Problem(graph.name, "graph", "", "has no operators")
