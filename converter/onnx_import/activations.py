"""Pointwise nonlinearities and softmax."""

from __future__ import annotations

import math

import numpy as np

from .arithmetic import affine
from .context import Context, SourceNode, Unsupported, lowers

# ONNX operator -> (IR function, {attribute: default})
_UNARY: dict[str, tuple[str, dict[str, float]]] = {
    "Sigmoid": ("sigmoid", {}),
    "Tanh": ("tanh", {}),
    "HardSigmoid": ("hard_sigmoid", {"alpha": 0.2, "beta": 0.5}),
    "HardSwish": ("hard_swish", {}),
    "LeakyRelu": ("leaky_relu", {"alpha": 0.01}),
    "Elu": ("elu", {"alpha": 1.0}),
    "Softplus": ("softplus", {}),
    "Mish": ("mish", {}),
    "Erf": ("erf", {}),
    "Exp": ("exp", {}),
    "Abs": ("abs", {}),
    "Sqrt": ("sqrt", {}),
}


@lowers(*_UNARY)
def unary(ctx: Context, node: SourceNode) -> None:
    """A function of one value, a table in the engine."""
    function, defaults = _UNARY[node.op_type]
    values = {name: float(node.attrs.get(name, default)) for name, default in defaults.items()}
    ctx.emit("unary", [ctx.activation(node)], node.outputs[0], {"function": function} | values)


@lowers("Selu")
def selu(ctx: Context, node: SourceNode) -> None:
    """gamma * elu(x, alpha)."""
    x = ctx.activation(node)
    alpha = float(node.attrs.get("alpha", 1.67326319217681884765625))
    gamma = float(node.attrs.get("gamma", 1.05070102214813232421875))
    unscaled = ctx.fresh(x, ctx.shape(x))
    ctx.emit("unary", [x], unscaled, {"function": "elu", "alpha": alpha})
    affine(ctx, unscaled, np.full(1, gamma, np.float32), np.zeros(1, np.float32), node.outputs[0])


@lowers("Gelu")
def gelu(ctx: Context, node: SourceNode) -> None:
    """Exact GELU, or its tanh approximation."""
    function = "gelu_tanh" if node.attrs.get("approximate", "none") == "tanh" else "gelu"
    ctx.emit("unary", [ctx.activation(node)], node.outputs[0], {"function": function})


@lowers("Relu")
def relu(ctx: Context, node: SourceNode) -> None:
    """max(x, 0)."""
    ctx.emit("clip", [ctx.activation(node)], node.outputs[0], {"min": 0.0, "max": math.inf})


@lowers("Clip")
def clip(ctx: Context, node: SourceNode) -> None:
    """Bounds from attributes (before opset 11) or from constant inputs."""
    low, high = node.attrs.get("min"), node.attrs.get("max")
    bounds = [float("-inf") if low is None else float(low), float("inf") if high is None else float(high)]
    for index, what in ((1, "min"), (2, "max")):
        given = ctx.optional(node, index, what)
        if given is not None:
            bounds[index - 1] = _scalar(given, what)
    _emit_clip(ctx, node, bounds[0], bounds[1])


@lowers("Min", "Max")
def min_max(ctx: Context, node: SourceNode) -> None:
    """Minimum or maximum with a constant: half a clip."""
    constant = [i for i, name in enumerate(node.inputs) if name in ctx.constants]
    if len(node.inputs) != 2 or len(constant) != 1:
        raise Unsupported("both sides are computed at run time", hint="only a constant bound runs")
    bound = _scalar(ctx.constant(node, constant[0], f"input {constant[0]}"), f"input {constant[0]}")
    low, high = (bound, math.inf) if node.op_type == "Max" else (-math.inf, bound)
    _emit_clip(ctx, node, low, high, 1 - constant[0])


def _scalar(array: np.ndarray, what: str) -> float:  # type: ignore[type-arg]
    if array.size != 1 or np.isnan(array).any():
        raise Unsupported("the bound is not one number", what)
    return float(array.reshape(()))


def _emit_clip(ctx: Context, node: SourceNode, low: float, high: float, index: int = 0) -> None:
    if math.isnan(low) or math.isnan(high) or low > high:
        raise Unsupported(f"bounds {low}..{high} are empty", "min, max")
    ctx.emit("clip", [ctx.activation(node, index)], node.outputs[0], {"min": low, "max": high})


@lowers("PRelu")
def prelu(ctx: Context, node: SourceNode) -> None:
    """Leaky ReLU with a trained slope per channel or one for all."""
    x = ctx.activation(node)
    shape, slope = ctx.shape(x), ctx.floats(node, 1, "slope")
    per_channel = slope.size == slope.shape[-len(shape) + 1] if slope.ndim == len(shape) - 1 else False
    per_channel = per_channel or (slope.ndim == len(shape) and slope.size == slope.shape[1])
    if slope.size != 1 and not (per_channel and slope.size == shape[1]):
        raise Unsupported(f"slope {slope.shape} is not one value, nor one per channel", "slope")
    ctx.emit("prelu", [x], node.outputs[0], {}, {"slope": np.ascontiguousarray(slope.reshape(-1))})


@lowers("Softmax")
def softmax(ctx: Context, node: SourceNode) -> None:
    """Over one axis, or before opset 13 over all axes from ``axis`` on; the IR has the last axis only."""
    x = ctx.activation(node)
    shape = ctx.shape(x)
    rank = len(shape)
    axis = int(node.attrs.get("axis", -1 if ctx.opset >= 13 else 1))
    if not -rank <= axis < rank:
        raise Unsupported(f"axis {axis} of {rank} dimensions", "axis")
    axis %= rank
    last = math.prod(shape[axis:]) if ctx.opset < 13 else shape[axis]
    if math.prod(shape[axis:]) == last:
        _softmax_rows(ctx, x, math.prod(shape[:axis]), last, axis == rank - 1, node.outputs[0])
        return
    perm = [i for i in range(rank) if i != axis] + [axis]
    moved = ctx.transpose(x, perm)
    result = ctx.fresh(moved, ctx.shape(moved))
    ctx.emit("softmax", [moved], result, {"axis": rank - 1})
    ctx.transpose(result, [perm.index(i) for i in range(rank)], node.outputs[0])


def _softmax_rows(ctx: Context, x: str, rows: int, columns: int, direct: bool, output: str) -> None:
    if direct:
        ctx.emit("softmax", [x], output, {"axis": len(ctx.shape(x)) - 1})
        return
    flat = ctx.reshape(x, (rows, columns))
    result = ctx.fresh(flat, (rows, columns))
    ctx.emit("softmax", [flat], result, {"axis": 1})
    ctx.reshape(result, ctx.shape(output), output)
