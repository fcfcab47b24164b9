"""Cross-layer equalization: gives the channels of an activation similar ranges without changing the network.

A value's channel c may be divided by any s_c > 0 where the operators around it can take it: the layer before
divides its output row, the layer after multiplies its input column. Operators between that treat every channel
alike and scale with it (pooling, padding, ReLU, residual adds, concat) tie scales together, which the union-find
below follows through the whole network; anything else, such as ReLU6, pins its channels to 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.ir import Graph, Node
from lacewing.converter.lowering.builder import quads_dims
from lacewing.converter.quantization.forms import is_depthwise
from lacewing.converter.quantization.statistics import Statistics

Array = npt.NDArray[Any]

_LIMIT = 16.0  # largest ratio of a scale to its tensor's typical one
_RANGE_SHARE = (
    0.75  # of the exponent: 1/2 would weigh ranges and weights alike, but u7 activations round more coarsely
)
_KEEPS_CHANNELS = ("max_pool", "avg_pool", "pad", "resize", "clip", "prelu")


def equalize(graph: Graph, statistics: dict[str, Statistics]) -> bool:
    """Rescales the weights of ``graph`` in place. Returns whether anything changed (statistics are then stale)."""
    channels = _Channels(graph)
    for node in graph.nodes:
        _constrain(graph, node, channels)
    scales = _scales(graph, channels, statistics)
    if not np.any(scales != 1.0):
        return False
    for node in graph.nodes:
        if node.op in ("conv", "gemm"):
            _apply(node, scales[channels.ids[node.inputs[0]]], scales[channels.ids[node.output]])
    return True


class _Channels:
    """One number per (value, channel), in disjoint sets that share a scale."""

    def __init__(self, graph: Graph) -> None:
        self.ids: dict[str, Array] = {}  # value -> [C]; [1] for values without channels
        count = 0
        for value, shape in graph.shapes.items():
            dims = quads_dims(tuple(shape))
            size = dims[1] if dims else 1
            self.ids[value] = np.arange(count, count + size)
            count += size
        self._parent = list(range(count))
        self.pinned = np.zeros(count, np.bool_)
        for value in (*graph.inputs, *graph.outputs):
            self.pin(value)

    def pin(self, value: str) -> None:
        """The channels of ``value`` keep their scale."""
        self.pinned[self.ids[value]] = True

    def tie(self, a: Array, b: Array) -> None:
        """Channels a[i] and b[i] share a scale."""
        for i, j in zip(a.tolist(), b.tolist(), strict=True):
            self._parent[self._find(i)] = self._find(j)

    def roots(self) -> Array:
        """[channels]: the representative of each."""
        return np.array([self._find(i) for i in range(len(self._parent))])

    def _find(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i


def _scale_free(low: float, high: float) -> bool:
    return low in (0.0, -math.inf) and high in (0.0, math.inf)


def _constrain(graph: Graph, node: Node, channels: _Channels) -> None:
    ids = channels.ids
    clip = node.attrs.get("clip", (-math.inf, math.inf))
    if node.op == "clip":
        clip = (node.attrs["min"], node.attrs["max"])
    if not _scale_free(float(clip[0]), float(clip[1])):
        channels.pin(node.output)
    if node.op in ("conv", "gemm"):
        if int(node.attrs.get("groups", 1)) > 1 and not is_depthwise(node):
            channels.pin(node.inputs[0])
        return
    source = node.inputs[0]
    same = quads_dims(tuple(graph.shapes[source])) == quads_dims(tuple(graph.shapes[node.output])) is not None
    leaky = node.op == "unary" and node.attrs["function"] == "leaky_relu"
    if node.op in _KEEPS_CHANNELS or leaky or (node.op == "reshape" and same):
        channels.tie(ids[source], ids[node.output])
    elif node.op == "add":
        channels.tie(ids[node.inputs[0]], ids[node.output])
        channels.tie(ids[node.inputs[1]], ids[node.output])
    elif node.op == "concat" and int(node.attrs["axis"]) == 1 and len(graph.shapes[node.output]) == 4:
        channels.tie(np.concatenate([ids[v] for v in node.inputs]), ids[node.output])
    else:
        for value in (*node.inputs, node.output):
            channels.pin(value)


def _scales(graph: Graph, channels: _Channels, statistics: dict[str, Statistics]) -> Array:
    """[channels] f64: by what each channel is divided; 1 where pinned or never active."""
    roots = channels.roots()
    count = len(roots)
    ranges, columns = np.zeros(count), np.zeros(count)
    for value, ids in channels.ids.items():
        low, high = statistics[value].channel_low, statistics[value].channel_high
        if low is not None and high is not None:
            np.maximum.at(ranges, roots[ids], np.maximum(np.abs(low), np.abs(high)))
    for node in graph.nodes:
        if node.op in ("conv", "gemm") and not is_depthwise(node):
            weight = np.abs(node.weights["weight"])
            if int(node.attrs.get("groups", 1)) == 1:
                largest = weight.max(axis=(0, *range(2, weight.ndim)))
                np.maximum.at(columns, roots[channels.ids[node.inputs[0]]], largest)
    pinned = np.zeros(count, np.bool_)
    np.logical_or.at(pinned, roots, channels.pinned)
    # Without a full layer behind (depthwise only) the weights adapt for free: ranges alone decide.
    balanced = np.where(columns > 0, _towards_ranges(ranges, columns), ranges)
    free = ~pinned & (ranges > 0)
    scales = np.ones(count)
    for ids in channels.ids.values():
        members = np.unique(roots[ids])
        members = members[free[members] & (scales[members] == 1.0)]
        if len(members) > 1:
            relative = balanced[members] / np.exp(np.log(balanced[members]).mean())
            scales[members] = np.clip(relative, 1 / _LIMIT, _LIMIT)
    return np.asarray(scales[roots])


def _towards_ranges(ranges: Array, columns: Array) -> Array:
    return np.asarray(ranges**_RANGE_SHARE / np.maximum(columns, 1e-12) ** (1 - _RANGE_SHARE))


def _apply(node: Node, source: Array, target: Array) -> None:
    weight, bias = node.weights["weight"].astype(np.float64), node.weights["bias"].astype(np.float64)
    rows = target.reshape(-1, *([1] * (weight.ndim - 1)))
    if is_depthwise(node):
        weight = weight * source.reshape(rows.shape) / rows
    elif int(node.attrs.get("groups", 1)) > 1:
        weight = weight / rows
    else:
        weight = weight * source.reshape(1, -1, *([1] * (weight.ndim - 2))) / rows
    node.weights["weight"] = weight.astype(np.float32)
    node.weights["bias"] = (bias / target).astype(np.float32)
