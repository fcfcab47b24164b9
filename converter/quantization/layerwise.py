"""Walks a network operator by operator, the float one and the quantized one side by side.

Each layer is visited once, with its inputs as both networks compute them, so that it can be changed (pruned, its
bias corrected) with everything before it already in its final state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.execute import Executor
from lacewing.converter.ir import Graph, Node
from lacewing.converter.progress import Progress
from lacewing.converter.quantization.forms import reads_u7
from lacewing.converter.quantization.plan import LayerPlan, QuantizationPlan
from lacewing.converter.quantization.weights import dequantize_weights, quantize_weights

Array = npt.NDArray[Any]
Change = Callable[
    [Node, LayerPlan, Array, Array], None
]  # (node, layer, current input, float input): in place

_MAX_ELEMENTS = 1 << 26  # of the largest value over all samples


def stack(samples: Iterable[Mapping[str, Array]], graph: Graph, limit: int) -> dict[str, Array]:
    """The first samples along axis 0: at most ``limit``, fewer where the network's values are large."""
    largest = max(int(np.prod(s)) for s in graph.shapes.values())
    count = max(1, min(limit, _MAX_ELEMENTS // largest))
    chosen = [s for _, s in zip(range(count), samples, strict=False)]
    return {name: np.concatenate([s[name] for s in chosen]) for name in graph.inputs}


def walk(
    graph: Graph,
    plan: QuantizationPlan,
    inputs: Mapping[str, Array],
    change: Change,
    progress: Progress,
    correct: bool = True,
) -> dict[str, float]:
    """Applies ``change`` and then the bias correction (unless ``correct`` is off) to every conv and gemm.

    inputs: name -> [N, ...] f32. Returns each value's SQNR in dB: the quantized network against the float one.
    """
    reference = dict(inputs)
    current = dict(inputs)
    last_use = {v: i for i, n in enumerate(graph.nodes) for v in n.inputs}
    sqnr: dict[str, float] = {}
    for i, node in enumerate(graph.nodes):
        wanted = run_node(graph, node, reference)
        read = {v: _as_read(plan, node, v, current[v]) for v in node.inputs}
        if node.op in ("conv", "gemm"):
            layer = plan.layers[node.name]
            change(node, layer, read[node.inputs[0]], reference[node.inputs[0]])
            got = run_node(graph, simulated(node, layer, plan), read)
            if correct:
                got = _shifted(layer, got, channel_means(wanted) - channel_means(got))
            if node.output in plan.dither:
                got = _shifted(layer, got, plan.dither[node.output] * plan.values[node.output].scale)
        else:
            got = run_node(graph, node, read)
        reference[node.output] = clipped(node, wanted)
        current[node.output] = _stored(plan, node.output, clipped(node, got))
        sqnr[node.output] = sqnr_db(reference[node.output], current[node.output])
        for value in {v for v in node.inputs if last_use[v] == i}:
            del reference[value], current[value]
        progress("layers", (i + 1) / len(graph.nodes))
    return sqnr


def walk_float(
    graph: Graph, inputs: Mapping[str, Array]
) -> Iterator[tuple[Node, Mapping[str, Array], Array]]:
    """Each node in order with the values at hand before it, among them its inputs, and its result before the fused clamp.

    inputs: name -> [N, ...] f32. Values are let go after their last reader.
    """
    values = dict(inputs)
    last_use = {v: i for i, n in enumerate(graph.nodes) for v in n.inputs}
    for i, node in enumerate(graph.nodes):
        result = run_node(graph, node, values)
        yield node, values, result
        values[node.output] = clipped(node, result)
        for value in {v for v in node.inputs if last_use[v] == i}:
            del values[value]


def run_node(graph: Graph, node: Node, values: Mapping[str, Array]) -> Array:
    """One operator in float32, without its fused clamp."""
    bare = replace(node, attrs={k: v for k, v in node.attrs.items() if k != "clip"})
    names = list(dict.fromkeys(node.inputs))
    shapes = {v: graph.shapes[v] for v in (*names, node.output)}
    single = Graph(node.name, names, [node.output], [bare], shapes)
    return Executor(single).run({v: values[v] for v in names})[node.output]


def simulated(node: Node, layer: LayerPlan, plan: QuantizationPlan) -> Node:
    """``node`` with the weights and bias that the integers of the file stand for."""
    scales = layer.weight_scales(plan.values[node.inputs[0]].scale)
    weight = dequantize_weights(quantize_weights(layer.weight, scales), scales)
    return replace(node, weights={"weight": weight, "bias": layer.bias.astype(np.float32)})


def sqnr_db(reference: Array, got: Array) -> float:
    """Signal to noise of ``got`` in decibels; infinite when equal."""
    noise = float(np.square(reference.astype(np.float64) - got).sum())
    signal = float(np.square(reference.astype(np.float64)).sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def _stored(plan: QuantizationPlan, value: str, array: Array) -> Array:
    return array if plan.is_float(value) else plan.values[value].simulate(array)


def _as_read(plan: QuantizationPlan, node: Node, value: str, array: Array) -> Array:
    # A float32 value, such as a network's input, is rounded where an operator that computes on u7 reads it.
    rounds = plan.is_float(value) and reads_u7(node, plan.float_values)
    return plan.values[value].simulate(array) if rounds else array


def clipped(node: Node, array: Array) -> Array:
    """``array`` within the clamp that is fused into ``node``."""
    low, high = node.attrs.get("clip", (-math.inf, math.inf))
    return np.clip(array, np.float32(low), np.float32(high))


def channel_means(array: Array) -> Array:
    """[C] f64: over samples and pixels of ``array`` [N,C,...]."""
    return np.asarray(array.mean(axis=(0, *range(2, array.ndim)), dtype=np.float64))


def _shifted(layer: LayerPlan, got: Array, shift: Array) -> Array:
    """Adds ``shift`` [C] to the layer's bias and to its result ``got``."""
    layer.bias += shift
    return plus_channels(got, shift)


def plus_channels(got: Array, shift: Array) -> Array:
    """``got`` [N,C,...] f32 with ``shift`` [C] added: what a layer gives whose bias is larger by that."""
    return np.asarray(got + shift.reshape(1, -1, *([1] * (got.ndim - 2))).astype(np.float32))
