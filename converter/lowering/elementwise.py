"""add, mul and everything that is a table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.ir import Node
from lacewing.converter.lowering.builder import Builder, quads_dims
from lacewing.converter.lowering.clamp import clamp_attributes
from lacewing.converter.lowering.tables import UNARY, function_table
from lacewing.converter.quantization.parameters import Quantization

Array = npt.NDArray[Any]
Function = Callable[[Array], Array]


def _in_quads(builder: Builder, *values: str) -> bool:
    return all(quads_dims(builder.dims(v)) is not None for v in values)


def _operands(builder: Builder, node: Node, values: list[str]) -> tuple[list[int], int]:
    if _in_quads(builder, *values, node.output):
        return [builder.u7_quads(v) for v in values], builder.result(node.output, "u7_quads")
    return [builder.u7_plain(v) for v in values], builder.result(node.output, "u7_plain")


def lower_add(builder: Builder, node: Node) -> None:
    """add of two activations of equal shape, each with its own scale."""
    inputs, output = _operands(builder, node, node.inputs)
    q = builder.quantization(node.output)
    scales = [builder.quantization(v).scale / q.scale for v in node.inputs]
    attributes = {"multiplier0": scales[0], "multiplier1": scales[1], **clamp_attributes(node, q)}
    builder.op("add", node.name, inputs, output, attributes)


def lower_mul(builder: Builder, node: Node) -> None:
    """mul; the operand of one value per channel comes second."""
    values = list(node.inputs)
    if builder.dims(values[0]) != builder.dims(node.output):
        values.reverse()
    inputs, output = _operands(builder, node, values)
    a, b, q = (builder.quantization(v) for v in (*values, node.output))
    attributes = {"multiplier": a.scale * b.scale / q.scale, **clamp_attributes(node, q)}
    builder.op("mul", node.name, inputs, output, attributes)


def lower_table(builder: Builder, node: Node) -> None:
    """unary, clip, prelu, affine: any function of one value, perhaps another one in each channel."""
    source, target = builder.quantization(node.inputs[0]), builder.quantization(node.output)
    inputs, output = _operands(builder, node, node.inputs)
    table = tables_of(node, source, target)
    builder.op("table", node.name, inputs, output, {"channels": len(table)}, {"table": table})


def tables_of(node: Node, source: Quantization, target: Quantization) -> Array:
    """[channels or 1][128] u8: what the node makes of every level of ``source``, in levels of ``target``."""
    return np.stack([function_table(source, target, f) for f in _FUNCTIONS[node.op](node)])


def _unary(node: Node) -> list[Function]:
    function = UNARY[node.attrs["function"]]
    alpha, beta = float(node.attrs.get("alpha", 0.0)), float(node.attrs.get("beta", 0.0))
    return [lambda x: function(x, alpha, beta)]


def _clip(node: Node) -> list[Function]:
    low, high = float(node.attrs["min"]), float(node.attrs["max"])
    return [lambda x: np.clip(x, low, high)]


def _prelu(node: Node) -> list[Function]:
    return [partial(_leaky, slope) for slope in node.weights["slope"].reshape(-1).astype(np.float64)]


def _leaky(slope: float, x: Array) -> Array:
    return np.where(x < 0, slope * x, x)


def _affine(node: Node) -> list[Function]:
    scale, offset = (node.weights[k].astype(np.float64).reshape(-1) for k in ("scale", "offset"))
    pairs = np.unique(np.stack(np.broadcast_arrays(scale, offset), axis=1), axis=0)
    pairs = pairs if len(pairs) == 1 else np.stack(np.broadcast_arrays(scale, offset), axis=1)
    return [partial(_scaled, s, o) for s, o in pairs]


def _scaled(scale: float, offset: float, x: Array) -> Array:
    return x * scale + offset


# What a table operator computes, one function per channel or one for all.
_FUNCTIONS: dict[str, Callable[[Node], list[Function]]] = {
    "unary": _unary,
    "clip": _clip,
    "prelu": _prelu,
    "affine": _affine,
}
TABLE_OPERATORS = frozenset(_FUNCTIONS)
