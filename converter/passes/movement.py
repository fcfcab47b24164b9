"""Reshapes in a row become one, transposes that cancel vanish, those that move no data become reshapes."""

from __future__ import annotations

from ..ir import Graph, Node
from .rewrite import bypass, is_private

POINTWISE = ("clip", "unary")


def simplify_movement(graph: Graph) -> None:
    """Repeats the rules until none applies."""
    rules = (_sink_transpose, _merge_transposes, _transpose_to_reshape, _merge_reshapes, _drop_identity)
    changed = True
    while changed:
        changed = False
        for node in list(graph.nodes):
            changed |= any(rule(graph, node) for rule in rules if node in graph.nodes)


def _sink_transpose(graph: Graph, node: Node) -> bool:
    """transpose, pointwise -> pointwise, transpose: so that a later transpose meets it."""
    before = graph.producer(node.inputs[0])
    if node.op not in POINTWISE or before is None or before.op != "transpose":
        return False
    if not is_private(graph, before.output) or not _meets_transpose(graph, node):
        return False
    middle, result = before.output, node.output
    node.inputs, node.output = list(before.inputs), middle
    before.inputs, before.output = [middle], result
    graph.shapes[middle] = graph.shapes[node.inputs[0]]
    first, second = graph.nodes.index(before), graph.nodes.index(node)
    graph.nodes[first], graph.nodes[second] = node, before
    return True


def _meets_transpose(graph: Graph, node: Node) -> bool:
    reader = graph.only_reader(node.output)
    while reader is not None and reader.op in POINTWISE:
        reader = graph.only_reader(reader.output)
    return reader is not None and reader.op == "transpose"


def _merge_transposes(graph: Graph, node: Node) -> bool:
    before = graph.producer(node.inputs[0])
    if node.op != "transpose" or before is None or before.op != "transpose":
        return False
    node.attrs["perm"] = tuple(before.attrs["perm"][i] for i in node.attrs["perm"])
    node.inputs = list(before.inputs)
    _drop_unread(graph, before)
    return True


def _transpose_to_reshape(graph: Graph, node: Node) -> bool:
    if node.op != "transpose":
        return False
    shape = graph.shapes[node.inputs[0]]
    moved = [axis for axis in node.attrs["perm"] if shape[axis] != 1]
    if moved != sorted(moved):
        return False
    node.op, node.attrs = "reshape", {"shape": graph.shapes[node.output]}
    return True


def _merge_reshapes(graph: Graph, node: Node) -> bool:
    before = graph.producer(node.inputs[0])
    if node.op != "reshape" or before is None or before.op != "reshape":
        return False
    node.inputs = list(before.inputs)
    _drop_unread(graph, before)
    return True


def _drop_identity(graph: Graph, node: Node) -> bool:
    same = node.op == "reshape" and graph.shapes[node.inputs[0]] == graph.shapes[node.output]
    return same and bypass(graph, node)


def _drop_unread(graph: Graph, node: Node) -> None:
    if node.output not in graph.outputs and not graph.consumers(node.output):
        graph.nodes.remove(node)
        graph.shapes.pop(node.output)
