"""Values that must share one quantization because an operator between them only moves bytes."""

from __future__ import annotations

from lacewing.converter.ir import Graph, Node

MOVES = ("max_pool", "pad", "resize", "reshape", "transpose")


class SharedQuantization:
    """Disjoint sets of values; every value of a set gets the same scale and zero point."""

    def __init__(self, graph: Graph, float_values: set[str]) -> None:
        self._parent: dict[str, str] = {v: v for v in graph.shapes}
        for node in graph.nodes:
            if node.output in float_values:
                continue
            if node.op in MOVES:
                self._join(node.inputs[0], node.output)
            if node.op == "concat":
                self._join_concat(graph, node)

    def members(self) -> dict[str, list[str]]:
        """Representative -> all values of its set."""
        sets: dict[str, list[str]] = {}
        for value in self._parent:
            sets.setdefault(self._find(value), []).append(value)
        return sets

    def _join_concat(self, graph: Graph, node: Node) -> None:
        # An input read elsewhere keeps its own, finer scale: lowering rescales it through a table.
        for value in node.inputs:
            if len(graph.consumers(value)) == 1 and value not in graph.inputs:
                self._join(value, node.output)

    def _join(self, a: str, b: str) -> None:
        self._parent[self._find(a)] = self._find(b)

    def _find(self, value: str) -> str:
        while self._parent[value] != value:
            value = self._parent[value]
        return value
