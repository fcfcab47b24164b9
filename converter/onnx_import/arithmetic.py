"""Add, Sub, Mul, Div, Neg, Pow: with a constant an ``affine``, between activations an ``add`` or ``mul``."""

from __future__ import annotations

import numpy as np

from ..ir import FloatArray
from .context import Context, Shape, SourceNode, Unsupported, lowers


@lowers("Add", "Sub", "Mul", "Div")
def binary(ctx: Context, node: SourceNode) -> None:
    """Dispatches on which sides are constants; both constant has been folded before."""
    constant = [name in ctx.constants for name in node.inputs]
    if len(node.inputs) != 2:
        raise Unsupported(f"{len(node.inputs)} inputs instead of 2")
    if constant[1]:
        _with_constant(ctx, node, 0)
    elif constant[0]:
        _with_constant(ctx, node, 1)
    else:
        _between_activations(ctx, node)


def _with_constant(ctx: Context, node: SourceNode, side: int) -> None:
    """Activation on ``side`` (0: x op c, 1: c op x)."""
    x = ctx.activation(node, side)
    if ctx.shape(x) != ctx.shape(node.outputs[0]):
        raise Unsupported("the constant enlarges the activation by broadcasting", f"input {1 - side}")
    constant = ctx.floats(node, 1 - side, f"input {1 - side}")
    if node.op_type == "Div" and (side == 1 or not constant.all()):
        raise Unsupported("division by an activation or by zero", f"input {side}")
    one, zero = np.ones_like(constant), np.zeros_like(constant)
    sign = -one if side else one
    scale, offset = {
        "Add": (one, constant),
        "Sub": (sign, constant if side else -constant),
        "Mul": (constant, zero),
        "Div": (one / constant if node.op_type == "Div" else one, zero),
    }[node.op_type]
    affine(ctx, x, scale, offset, node.outputs[0])


def affine(ctx: Context, x: str, scale: FloatArray, offset: FloatArray, output: str) -> None:
    """x * scale + offset for constants of one shape: one value, one per channel, or one per last axis."""
    shape = ctx.shape(x)
    channels = channel_count(shape)
    aligned = (1,) * (len(shape) - scale.ndim) + scale.shape
    weights = {"scale": scale.reshape(-1), "offset": offset.reshape(-1)}
    if scale.size == 1:
        weights = {name: np.full(channels, array[0], np.float32) for name, array in weights.items()}
    elif len(shape) > 2 and scale.size == aligned[-1]:
        _affine_on_last_axis(ctx, x, weights, output)
        return
    elif scale.size != channels or scale.size != aligned[min(1, len(shape) - 1)]:
        raise Unsupported(
            f"a constant of shape {list(scale.shape)} against {list(shape)}",
            hint="constants per channel or of one value run",
        )
    ctx.emit("affine", [x], output, {}, weights)


def channel_count(shape: Shape) -> int:
    """Size of axis 1; of axis 0 for a vector."""
    return shape[min(1, len(shape) - 1)] if shape else 1


def _affine_on_last_axis(ctx: Context, x: str, weights: dict[str, FloatArray], output: str) -> None:
    rank = len(ctx.shape(x))
    there = [0, rank - 1, *range(1, rank - 1)]
    back = [0, *range(2, rank), 1]
    moved = ctx.transpose(x, there)
    result = ctx.fresh(moved, ctx.shape(moved))
    ctx.emit("affine", [moved], result, {}, weights)
    ctx.transpose(result, back, output)


def _between_activations(ctx: Context, node: SourceNode) -> None:
    if node.op_type == "Div":
        raise Unsupported("division of two activations", hint="multiply instead, or divide by a constant")
    output = node.outputs[0]
    target = ctx.shape(output)
    a, b = (_same_rank(ctx, ctx.activation(node, side), len(target)) for side in (0, 1))
    if node.op_type == "Sub":
        negative = ctx.fresh(b, ctx.shape(b))
        count = np.ones(channel_count(ctx.shape(b)), np.float32)
        b = ctx.emit("affine", [b], negative, {}, {"scale": -count, "offset": 0 * count})
    if node.op_type == "Mul":
        a, b = (_unexpanded(ctx, value, target) for value in (a, b))
        if ctx.shape(b) == target != ctx.shape(a):
            a, b = b, a
        a = _expand(ctx, a, target)
        per_channel = len(target) == 4 and ctx.shape(b) == (*target[:2], 1, 1)
        ctx.emit("mul", [a, b if per_channel else _expand(ctx, b, target)], output)
        return
    ctx.emit("add", [_expand(ctx, a, target), _expand(ctx, b, target)], output)


def _same_rank(ctx: Context, x: str, rank: int) -> str:
    shape = ctx.shape(x)
    return x if len(shape) == rank else ctx.reshape(x, (1,) * (rank - len(shape)) + shape)


def _expand(ctx: Context, x: str, target: Shape) -> str:
    """Broadcast as operators that exist: channels by a 1x1 convolution of ones, pixels by nearest resize."""
    shape = ctx.shape(x)
    if shape == target:
        return x
    if len(target) != 4 or shape[0] != 1 or target[0] != 1:
        raise Unsupported(f"broadcast of {list(shape)} to {list(target)}", hint="only images broadcast")
    if shape[1] != target[1]:
        ones = np.ones((target[1], 1, 1, 1), np.float32)
        wide = ctx.fresh(x, (1, target[1], *shape[2:]))
        attrs = {"strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0), "groups": 1, "fixed": True}
        weights = {"weight": ones, "bias": np.zeros(target[1], np.float32)}
        x = ctx.emit("conv", [x], wide, attrs, weights)
    if shape[2:] != target[2:]:
        attrs = {"mode": "nearest", "size": target[2:], "coordinates": "asymmetric", "rounding": "floor"}
        x = ctx.emit("resize", [x], ctx.fresh(x, target), attrs)
    return x


def _unexpanded(ctx: Context, x: str, target: Shape) -> str:
    """The [1, C, 1, 1] that ``x`` was expanded from, if it was: mul broadcasts by itself."""
    node = ctx.graph.producer(x)
    while node is not None and node.op == "reshape" and ctx.shape(node.inputs[0]) == ctx.shape(x):
        node = ctx.graph.producer(node.inputs[0])
    if node is None or node.op != "resize" or ctx.shape(node.inputs[0]) != (*target[:2], 1, 1):
        return x
    return node.inputs[0]


@lowers("Expand")
def expand(ctx: Context, node: SourceNode) -> None:
    """Broadcast to a larger image."""
    output = node.outputs[0]
    target = ctx.shape(output)
    ctx.reshape(_expand(ctx, _same_rank(ctx, ctx.activation(node), len(target)), target), target, output)


@lowers("Neg")
def negative(ctx: Context, node: SourceNode) -> None:
    """-x."""
    x = ctx.activation(node)
    affine(ctx, x, np.full(1, -1, np.float32), np.zeros(1, np.float32), node.outputs[0])


@lowers("Pow")
def power(ctx: Context, node: SourceNode) -> None:
    """x to the power 1 or 2: others have no bounded error in 7 bits."""
    x, exponent = ctx.activation(node), ctx.floats_or_ints(node, 1, "exponent")
    if exponent.size != 1 or float(exponent.flat[0]) not in (1.0, 2.0):
        raise Unsupported(f"power {exponent.tolist()}", "exponent", "powers 1 and 2 run")
    if float(exponent.flat[0]) == 1.0:
        ctx.reshape(x, ctx.shape(x), node.outputs[0])
    else:
        ctx.emit("mul", [x, x], node.outputs[0])
