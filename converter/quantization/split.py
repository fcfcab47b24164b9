"""Dead channels put to use: they repeat the channels whose rounding hurts most, each copy rounded differently.

Networks trained with ReLU6 and weight decay often have channels in their first layers that are the same whatever the
input: the weights went to zero, or the clamp cuts off all that they can reach. They cost as much as any other channel.
A dead channel can instead repeat a live one, whose readers then take the mean of the copies: the same function. Where
the m copies add ((k + 1/2) / m - 1/2) steps before they round, their mean has m times as many levels: two copies are
one more bit for that channel, at no cost.

A channel is followed from the dense layer that computes it, through a depthwise layer if one reads it, to the dense
layers that mix it with others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.execute import Executor
from lacewing.converter.ir import Graph, Node
from lacewing.converter.quantization.forms import is_depthwise
from lacewing.converter.quantization.layerwise import clipped, run_node
from lacewing.converter.quantization.plan import LayerPlan, QuantizationPlan

Array = npt.NDArray[Any]
Bounds = dict[str, tuple[Array, Array]]  # value -> lowest and highest real value of each channel, [C] each

_SAMPLES = 8  # that rounding errors are measured on


@dataclass(frozen=True)
class _Path:
    """Layers that share channels: ``makers`` compute them (dense, then perhaps depthwise), ``readers`` mix them."""

    makers: list[Node]
    readers: list[Node]

    @property
    def value(self) -> str:
        """What the readers read."""
        return self.makers[-1].output


def split_channels(graph: Graph, plan: QuantizationPlan, inputs: Mapping[str, Array]) -> None:
    """Rewrites weights of ``graph`` and layers of ``plan`` in place, and notes the copies and their dither there.

    inputs: name -> [N, ...] f32, calibration samples.
    """
    bounds = _bounds(graph, plan)
    for path in _paths(graph, plan):
        dead = _dead(path, bounds)
        if 0 < len(dead) < len(bounds[path.value][0]):
            _fold_constants(path, dead, bounds[path.value][0])
            _repeat(path, plan, _choose(_errors(graph, plan, path, inputs), dead))


def _paths(graph: Graph, plan: QuantizationPlan) -> list[_Path]:
    paths = []
    for node in graph.nodes:
        if not _is_dense(node) or not _is_inner(graph, plan, node.output):
            continue
        makers, readers = [node], graph.consumers(node.output)
        if len(readers) == 1 and _is_depthwise(readers[0]) and _is_inner(graph, plan, readers[0].output):
            makers, readers = [node, readers[0]], graph.consumers(readers[0].output)
        if readers and all(_is_dense(reader) for reader in readers):
            paths.append(_Path(makers, readers))
    return paths


def _is_dense(node: Node) -> bool:
    return node.op in ("conv", "gemm") and int(node.attrs.get("groups", 1)) == 1


def _is_depthwise(node: Node) -> bool:
    return node.op == "conv" and is_depthwise(node)


def _is_inner(graph: Graph, plan: QuantizationPlan, value: str) -> bool:
    return value not in graph.outputs and not plan.is_float(value)


def _bounds(graph: Graph, plan: QuantizationPlan) -> Bounds:
    """What each channel can reach in the quantized network, whatever its input: levels saturate."""
    found: Bounds = {}
    for value in graph.inputs:
        found[value] = _range(graph, plan, value)
    for node in graph.nodes:
        low, high = _range(graph, plan, node.output)
        if _is_dense(node) or _is_depthwise(node):
            clip = node.attrs.get("clip", (-math.inf, math.inf))
            ends = (np.clip(end, *clip) for end in _reach(node, *found[node.inputs[0]]))
            low, high = (np.clip(end, low, high) for end in ends)
        found[node.output] = low, high
    return found


def _range(graph: Graph, plan: QuantizationPlan, value: str) -> tuple[Array, Array]:
    shape = graph.shapes[value]
    channels = shape[1] if len(shape) > 1 else 1
    low, high = plan.values[value].range
    return np.full(channels, low), np.full(channels, high)


def _reach(node: Node, low: Array, high: Array) -> tuple[Array, Array]:
    """Interval arithmetic over a layer's sums, [O] each. The zeros of the padding count as inputs too."""
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    weight = node.weights["weight"].astype(np.float64)
    weight = weight.reshape(*weight.shape[:2], -1)
    up, down = np.maximum(weight, 0).sum(axis=2), np.minimum(weight, 0).sum(axis=2)  # [O][C/g]
    if _is_depthwise(node):
        low, high = low[:, None], high[:, None]
    else:
        low, high = low[None], high[None]
    bias = node.weights["bias"].astype(np.float64)
    return bias + (up * low + down * high).sum(axis=1), bias + (up * high + down * low).sum(axis=1)


def _dead(path: _Path, bounds: Bounds) -> Array:
    """Channels of ``path`` that are constant, and whose constant the readers' biases can take."""
    low, high = bounds[path.value]
    padded = any(any(reader.attrs.get("pads", ())) for reader in path.readers)
    return np.flatnonzero((low == high) & ((low == 0) | (not padded)))


def _fold_constants(path: _Path, dead: Array, constants: Array) -> None:
    for reader in path.readers:
        weight = reader.weights["weight"].copy()
        taps = weight[:, dead].reshape(len(weight), len(dead), -1).sum(axis=2)  # [O][dead]
        reader.weights["bias"] = (reader.weights["bias"] + taps @ constants[dead]).astype(np.float32)
        weight[:, dead] = 0
        reader.weights["weight"] = weight


def _errors(graph: Graph, plan: QuantizationPlan, path: _Path, inputs: Mapping[str, Array]) -> Array:
    """[C]: the power of the noise that rounding each channel of ``path`` adds to the sums of its readers."""
    first = path.makers[0].output
    exact = Executor(graph, [first]).run({v: a[:_SAMPLES] for v, a in inputs.items()})[first]
    got = plan.values[first].simulate(exact)
    for node in path.makers[1:]:
        exact, got = (clipped(node, run_node(graph, node, {node.inputs[0]: a})) for a in (exact, got))
        got = plan.values[node.output].simulate(got)
    noise = np.square(exact - got).mean(axis=(0, *range(2, exact.ndim)), dtype=np.float64)
    gain = sum(
        np.square(r.weights["weight"]).sum(axis=(0, *range(2, r.weights["weight"].ndim)))
        for r in path.readers
    )
    return np.asarray(noise * gain)


def _choose(errors: Array, dead: Array) -> list[Array]:
    """Sets of channels that become copies of their first one: always what lowers the sum of errors most."""
    copies = [np.array([c]) for c in range(len(errors)) if c not in dead]
    for channel in dead:
        gains = [errors[c[0]] * (1 / len(c) ** 2 - 1 / (len(c) + 1) ** 2) for c in copies]
        best = int(np.argmax(gains))
        copies[best] = np.append(copies[best], channel)
    return [c for c in copies if len(c) > 1]


def _repeat(path: _Path, plan: QuantizationPlan, copies: list[Array]) -> None:
    origin, share, dither = (np.full(len(path.makers[0].weights["bias"]), fill) for fill in (0, 1.0, 0.0))
    origin[:] = np.arange(len(origin))
    for channels in copies:
        count = len(channels)
        origin[channels], share[channels] = channels[0], 1 / count
        dither[channels] = (np.arange(count) + 0.5) / count - 0.5
    for maker in path.makers:
        maker.weights = {name: array[origin] for name, array in maker.weights.items()}
        plan.dither[maker.output] = dither
        plan.repeats[maker.output] = [(int(c), int(o)) for c, o in enumerate(origin) if c != o]
    for reader in path.readers:
        weight = reader.weights["weight"]
        shares = share.astype(np.float32).reshape(1, -1, *([1] * (weight.ndim - 2)))
        reader.weights["weight"] = weight[:, origin] * shares
    for node in (*path.makers, *path.readers):
        plan.layers[node.name] = LayerPlan.of(node)
