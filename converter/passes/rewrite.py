"""What the passes share: who reads a value, and how a node leaves the graph without renaming its interface."""

from __future__ import annotations

from ..ir import Graph, Node


def is_private(graph: Graph, value: str) -> bool:
    """Whether exactly one node reads ``value`` and nobody outside sees it: its producer may change."""
    return graph.only_reader(value) is not None


def source_of(graph: Graph, value: str, through: tuple[str, ...]) -> Node | None:
    """The producer of ``value``, looking through ``through`` operators; None unless all on the way is private."""
    while is_private(graph, value):
        node = graph.producer(value)
        if node is None or node.op not in through:
            return node
        value = node.inputs[0]
    return None


def bypass(graph: Graph, node: Node) -> bool:
    """Removes ``node``, whose result equals its first input; False where a graph output needs it to stay."""
    value = node.inputs[0]
    if node.output in graph.outputs:
        producer = graph.producer(value)
        if producer is None or value in graph.outputs:
            return False
        graph.nodes.remove(node)
        graph.shapes.pop(value)
        producer.output = node.output
        for reader in graph.consumers(value):
            reader.inputs = [node.output if name == value else name for name in reader.inputs]
        producer.source += [name for name in node.source if name not in producer.source]
        return True
    graph.nodes.remove(node)
    graph.replace_uses(node.output, value)
    graph.shapes.pop(node.output)
    return True


def fresh(graph: Graph, base: str, shape: tuple[int, ...]) -> str:
    """A new value of ``shape`` named after ``base``."""
    name, count = f"{base}/view", 1
    while name in graph.shapes:
        count += 1
        name = f"{base}/view{count}"
    graph.shapes[name] = shape
    return name


def uniform(node: Node | None) -> tuple[float, float] | None:
    """(scale, offset) of an affine that treats all channels alike, else None."""
    if node is None or node.op != "affine":
        return None
    scale, offset = node.weights["scale"], node.weights["offset"]
    if (scale != scale[0]).any() or (offset != offset[0]).any():
        return None
    return float(scale[0]), float(offset[0])
