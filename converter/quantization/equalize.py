"""Cross-layer equalization: gives the channels of an activation similar ranges without changing the network.

A value's channel c may be divided by any s_c > 0 where the operators around it can take it: the layer before
divides its output row, the layer after multiplies its input column. Operators between that treat every channel
alike and scale with it (pooling, padding, ReLU, residual adds, concat) tie scales together through the whole
network (``channels.py``); anything else, such as ReLU6, pins its channels to 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.channels import Channels, tie_channelwise
from lacewing.converter.ir import Graph, Node
from lacewing.converter.quantization.forms import is_depthwise
from lacewing.converter.quantization.statistics import Statistics

Array = npt.NDArray[Any]

_LIMIT = 16.0  # largest ratio of a scale to its tensor's typical one
_RANGE_SHARE = (
    0.75  # of the exponent: 1/2 would weigh ranges and weights alike, but u7 activations round more coarsely
)
_SCALES = (
    "max_pool",
    "avg_pool",
    "pad",
    "resize",
    "clip",
    "prelu",
    "reshape",
    "add",
    "concat",
)  # f(sx) = s f(x)


def equalize(graph: Graph, statistics: dict[str, Statistics]) -> list[str]:
    """Rescales the weights of ``graph`` in place. Returns the values that changed; with any, statistics are stale."""
    channels = Channels(graph)
    for node in graph.nodes:
        _constrain(graph, node, channels)
    scales = _scales(graph, channels, statistics)
    for node in graph.nodes:
        if node.op in ("conv", "gemm"):
            _apply(node, scales[channels.ids[node.inputs[0]]], scales[channels.ids[node.output]])
    return [n.output for n in graph.nodes if np.any(scales[channels.ids[n.output]] != 1.0)]


def _scale_free(low: float, high: float) -> bool:
    return low in (0.0, -math.inf) and high in (0.0, math.inf)


def _constrain(graph: Graph, node: Node, channels: Channels) -> None:
    clip = node.attrs.get("clip", (-math.inf, math.inf))
    if node.op == "clip":
        clip = (node.attrs["min"], node.attrs["max"])
    if not _scale_free(float(clip[0]), float(clip[1])):
        channels.pin(node.output)
    if node.op in ("conv", "gemm"):
        if int(node.attrs.get("groups", 1)) > 1 and not is_depthwise(node):
            channels.pin(node.inputs[0])
        return
    leaky = node.op == "unary" and node.attrs["function"] == "leaky_relu"
    if not ((node.op in _SCALES or leaky) and tie_channelwise(graph, node, channels)):
        channels.pin(*node.inputs, node.output)


def _scales(graph: Graph, channels: Channels, statistics: dict[str, Statistics]) -> Array:
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
    pinned = channels.pinned(roots)
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
