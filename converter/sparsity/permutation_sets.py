"""Which channels of a network may change places with each other, and the network with them changed.

Tied channels move together through the whole network. Where a concat joins values, its output carries the order of
each within that value's own stretch; where a residual add ties such an output to a layer, that layer's channels move
within the same stretches only. Both follow from one rule: two channels may change places if and only if they, with
all that is tied to them, occur equally often in the same values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.channels import Channels, tie_channelwise
from lacewing.converter.ir import Graph, Node
from lacewing.converter.quantization.forms import is_depthwise

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PermutationSet:
    """``size`` channels that may be permuted freely, in every value that they occur in at once.

    places: value -> [times][size], where each channel stands on the value's axis; a value that holds another one
    twice, as concat(x, relu(x)) does, has ``times`` 2.
    """

    size: int
    places: dict[str, Array]


Orders = Mapping[str, Array]  # value -> [C]: place c takes the channel that was at place order[c]


def is_dense(node: Node) -> bool:
    """Whether ``node`` is a dense layer: any order of its input channels goes with any order of its outputs."""
    return node.op == "gemm" or (node.op == "conv" and int(node.attrs.get("groups", 1)) == 1)


def permutation_sets(graph: Graph) -> list[PermutationSet]:
    """The disjoint sets of channels that may be permuted, sets of one left out, in the order of execution."""
    channels = Channels(graph)
    for node in graph.nodes:
        if not is_dense(node) and not tie_channelwise(graph, node, channels):
            channels.pin(*node.inputs, node.output)
    roots = channels.roots()
    movable = ~channels.pinned(roots)
    signatures: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for value in (*graph.inputs, *(n.output for n in graph.nodes)):
        own, times = np.unique(roots[channels.ids[value]], return_counts=True)
        for root, count in zip(own[movable[own]].tolist(), times[movable[own]].tolist(), strict=True):
            signatures[root].append((value, count))
    members: dict[tuple[tuple[str, int], ...], list[int]] = defaultdict(list)
    for root, occurrences in signatures.items():
        members[tuple(occurrences)].append(root)
    return [
        PermutationSet(len(own), {v: _places(roots[channels.ids[v]], own, times) for v, times in signature})
        for signature, own in members.items()
        if len(own) > 1
    ]


def _places(sequence: Array, members: list[int], times: int) -> Array:
    """[times][members]: where each member occurs in ``sequence``, from first to last."""
    order = np.argsort(sequence, kind="stable")
    first = np.searchsorted(sequence[order], members)
    return order[first + np.arange(times)[:, None]]


def value_orders(graph: Graph, sets: Sequence[PermutationSet], found: Sequence[Array]) -> dict[str, Array]:
    """The orders of whole values that follow from an order [size] for each set; unchanged values are left out."""
    orders: dict[str, Array] = {}
    for moving, order in zip(sets, found, strict=True):
        if np.array_equal(order, np.arange(moving.size)):
            continue
        for value, places in moving.places.items():
            whole = orders.setdefault(value, np.arange(graph.shapes[value][1]))
            whole[places] = places[:, order]
    return orders


def permute(graph: Graph, orders: Orders) -> Graph:
    """The same network with its channels in ``orders`` of ``value_orders``; ``graph`` stays as it is.

    Orders that leave channels out, for all values of a set alike, give the network without those.
    """
    shapes = {
        value: (shape[0], len(orders[value]), *shape[2:]) if value in orders else tuple(shape)
        for value, shape in graph.shapes.items()
    }
    nodes = [
        replace(
            node,
            inputs=list(node.inputs),
            attrs={**node.attrs, **_counted(node, orders, shapes)},
            source=list(node.source),
            weights={name: along(orders, node, array) for name, array in node.weights.items()},
        )
        for node in graph.nodes
    ]
    return Graph(graph.name, list(graph.inputs), list(graph.outputs), nodes, shapes)


def _counted(node: Node, orders: Orders, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The attributes of ``node`` that say how many channels there are."""
    if node.output not in orders:
        return {}
    if node.op == "reshape":
        return {"shape": shapes[node.output]}
    return {"groups": len(orders[node.output])} if node.op == "conv" and is_depthwise(node) else {}


def along(orders: Orders, node: Node, array: Array) -> Array:
    """An array in the shape of one of ``node``'s weights, such as the weight, its saliency or its mask, permuted."""
    rows, columns = orders.get(node.output), orders.get(node.inputs[0])
    result = array
    if rows is not None and len(array) > 1:  # a PReLU may have one slope for all channels
        result = result[rows]
    if columns is not None and array.ndim > 1 and is_dense(node):
        result = result[:, columns]
    return result
