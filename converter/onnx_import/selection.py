"""Slice, Split and Tile: channels by a 1x1 convolution of ones and zeros, strided pixels by a 1x1 max pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .context import Context, SourceNode, Unsupported, lowers

MAX_SELECTION = 1 << 24  # weights of the convolution that selects


def select_channels(ctx: Context, x: str, channels: Sequence[int], output: str) -> None:
    """Output channel o is channel ``channels[o]`` of ``x`` [1, C, ...], zero where that is -1."""
    shape = ctx.shape(x)
    if shape[0] != 1 or len(shape) < 2:
        raise Unsupported(f"selection in {list(shape)}", hint="axis 1 of a batch of one runs")
    if len(channels) * shape[1] > MAX_SELECTION:
        raise Unsupported(
            f"{len(channels)} of {shape[1]} values", hint="select fewer, or do it outside the model"
        )
    weight = np.zeros((len(channels), shape[1], 1, 1), np.float32)
    for row, channel in enumerate(channels):
        if channel >= 0:
            weight[row, channel] = 1.0
    view = (1, shape[1], *shape[2:]) if len(shape) == 4 else (1, shape[1], math.prod(shape[2:]), 1)
    image = x if len(shape) == 4 else ctx.reshape(x, view)
    target = output if len(shape) == 4 else ctx.fresh(output, (1, len(channels), *view[2:]))
    attrs = {"strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0), "groups": 1, "fixed": True}
    ctx.emit("conv", [image], target, attrs, {"weight": weight, "bias": np.zeros(len(channels), np.float32)})
    if target != output:
        ctx.reshape(target, ctx.shape(output), output)


@lowers("Split")
def split(ctx: Context, node: SourceNode) -> None:
    """Along axis 1."""
    x = ctx.activation(node)
    rank = len(ctx.shape(x))
    if int(node.attrs.get("axis", 0)) % rank != 1:
        raise Unsupported(f"split of axis {node.attrs.get('axis', 0)}", "axis", "axis 1 runs")
    first = 0
    for output in node.outputs:
        count = ctx.shape(output)[1]
        select_channels(ctx, x, range(first, first + count), output)
        first += count


@lowers("Tile")
def tile(ctx: Context, node: SourceNode) -> None:
    """Channels in a row several times, such as one of grey as three of colour."""
    x = ctx.activation(node)
    shape = ctx.shape(x)
    repeats = [int(count) for count in ctx.constant(node, 1, "repeats").reshape(-1)]
    if len(repeats) != len(shape) or any(count != 1 for axis, count in enumerate(repeats) if axis != 1):
        raise Unsupported(f"{repeats} times", "repeats", "only channels (axis 1) are repeated")
    select_channels(ctx, x, list(range(shape[1])) * repeats[1], node.outputs[0])


@lowers("Slice")
def slice_(ctx: Context, node: SourceNode) -> None:
    """A range of channels; every n-th pixel."""
    x = ctx.activation(node)
    shape = ctx.shape(x)
    ranges = _ranges(ctx, node, shape)
    cut = [axis for axis, chosen in enumerate(ranges) if len(chosen) != shape[axis] or chosen.step != 1]
    output = node.outputs[0]
    if not cut:
        ctx.reshape(x, shape, output)
    elif cut == [1]:
        select_channels(ctx, x, ranges[1], output)
    elif len(shape) == 4 and set(cut) <= {2, 3} and all(_from_corner(ranges[a], shape[a]) for a in (2, 3)):
        attrs = {"kernel": (1, 1), "strides": (ranges[2].step, ranges[3].step), "pads": (0, 0, 0, 0)}
        ctx.emit("max_pool", [x], output, attrs)
    else:
        raise Unsupported(
            f"a slice of axes {cut}", "axes", "channels (axis 1) and strides over whole images run"
        )


def _from_corner(chosen: range, size: int) -> bool:
    return chosen == range(0, size, chosen.step) and chosen.step > 0


def _ranges(ctx: Context, node: SourceNode, shape: Sequence[int]) -> list[range]:
    """The chosen indices per axis."""
    parts: dict[str, list[int]] = {}
    for index, name in enumerate(("starts", "ends", "axes", "steps"), start=1):
        given = ctx.optional(node, index, name)
        values = node.attrs.get(name, []) if given is None else given.reshape(-1).tolist()
        parts[name] = [int(value) for value in values]
    count = len(parts["starts"])
    axes, steps = parts["axes"] or list(range(count)), parts["steps"] or [1] * count
    if not count == len(parts["ends"]) == len(axes) == len(steps) or 0 in steps:
        raise Unsupported("starts, ends, axes and steps do not fit each other", "starts")
    ranges = [range(size) for size in shape]
    for axis, start, end, step in zip(axes, parts["starts"], parts["ends"], steps, strict=True):
        if not -len(shape) <= axis < len(shape):
            raise Unsupported(f"axis {axis} of {len(shape)} dimensions", "axes")
        ranges[axis % len(shape)] = range(shape[axis])[slice(start, end, step)]
    return ranges
