"""Dead code: nodes whose result nobody reads."""

from __future__ import annotations

from ..ir import Graph


def remove_dead_code(graph: Graph) -> None:
    """Drops nodes and shapes that no graph output depends on; graph inputs stay."""
    needed = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    graph.nodes = kept[::-1]
    needed.update(graph.inputs)
    graph.shapes = {value: shape for value, shape in graph.shapes.items() if value in needed}
