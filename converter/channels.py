"""Channels followed through a network: which channels of which values go together.

Operators that compute each channel from that channel alone (pools, activations, residual adds, gates, depthwise
convolutions) and concats tie the channels of their inputs to those of their output. Cross-layer equalization scales
tied channels alike, rearrangement moves them together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.ir import Graph, Node
from lacewing.converter.lowering.builder import quads_dims
from lacewing.converter.quantization.forms import is_depthwise

Array = npt.NDArray[Any]

_ALIKE = (
    "unary",
    "clip",
    "prelu",
    "batch_norm",
    "affine",
    "max_pool",
    "avg_pool",
    "pad",
    "resize",
    "add",
    "mul",
)


class Channels:
    """One number per (value, channel), in disjoint sets of tied ones. Graph inputs and outputs are pinned."""

    def __init__(self, graph: Graph) -> None:
        self.ids: dict[str, Array] = {}  # value -> [C]; [1] for values without channels
        count = 0
        for value, shape in graph.shapes.items():
            dims = quads_dims(tuple(shape))
            size = dims[1] if dims else 1
            self.ids[value] = np.arange(count, count + size)
            count += size
        self._parent = list(range(count))
        self._pinned = np.zeros(count, np.bool_)
        for value in (*graph.inputs, *graph.outputs):
            self.pin(value)

    def pin(self, *values: str) -> None:
        """The channels of ``values``, and all that are tied to them, stay as they are."""
        for value in values:
            self._pinned[self.ids[value]] = True

    def tie(self, a: Array, b: Array) -> None:
        """Channels a[i] and b[i] go together."""
        for i, j in zip(a.tolist(), b.tolist(), strict=True):
            self._parent[self._find(i)] = self._find(j)

    def roots(self) -> Array:
        """[channels]: the representative of each."""
        return np.array([self._find(i) for i in range(len(self._parent))])

    def pinned(self, roots: Array) -> Array:
        """[channels] bool, true for representatives (``roots`` of now) with a pinned channel among their own."""
        found = np.zeros(len(roots), np.bool_)
        np.logical_or.at(found, roots, self._pinned)
        return found

    def _find(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i


def tie_channelwise(graph: Graph, node: Node, channels: Channels) -> bool:
    """Ties the inputs of an operator that keeps channels apart to its output.

    False, with nothing tied, for every other operator and for values whose channels are not known.
    """
    shapes = [tuple(graph.shapes[v]) for v in (*node.inputs, node.output)]
    if any(quads_dims(shape) is None for shape in shapes):
        return False
    target = channels.ids[node.output]
    sources = [channels.ids[v] for v in node.inputs]
    if node.op == "concat" and int(node.attrs["axis"]) % len(shapes[-1]) == 1:
        sources = [np.concatenate(sources)]
    elif not _is_channelwise(node, shapes) or any(len(source) != len(target) for source in sources):
        return False
    for source in sources:
        channels.tie(source, target)
    return True


def _is_channelwise(node: Node, shapes: list[tuple[int, ...]]) -> bool:
    if node.op == "conv":
        return is_depthwise(node) and node.weights["weight"].shape[0] == shapes[0][1]
    if node.op == "concat":
        return int(node.attrs["axis"]) % len(shapes[-1]) > 1
    if node.op == "transpose":
        return tuple(node.attrs["perm"][:2]) == (0, 1)
    return node.op in _ALIKE or (node.op == "reshape" and shapes[0][:2] == shapes[1][:2])
