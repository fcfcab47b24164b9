"""Operators that move or relabel values: Reshape and its kin, Transpose, Concat, Pad, Resize, DepthToSpace."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .context import Context, SourceNode, Unsupported, lowers
from .selection import select_channels

ENGINE_RANK = 4
MAX_CONCAT = 8  # inputs of one operator


@lowers("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout")
def relabel(ctx: Context, node: SourceNode) -> None:
    """Same values in order, the inferred shape; a pass removes those that change nothing."""
    ctx.single_output(node, "a mask", "export with model.eval()")
    if node.op_type == "Dropout" and node.input(2) and ctx.constant(node, 2, "training_mode").any():
        raise Unsupported("training mode", "training_mode", "export with model.eval()")
    ctx.reshape(ctx.activation(node), ctx.shape(node.outputs[0]), node.outputs[0])


@lowers("Cast")
def cast(ctx: Context, node: SourceNode) -> None:
    """float32 to float32 only: what is left of a float16 model, or of a careful exporter."""
    x = ctx.activation(node)
    if node.attrs.get("to") != 1 or ctx.dtypes.get(x) != 1:
        raise Unsupported("a conversion of element types", "to", "only float32 activations run")
    ctx.reshape(x, ctx.shape(x), node.outputs[0])


@lowers("Transpose")
def transpose(ctx: Context, node: SourceNode) -> None:
    """Any rank: beyond four dimensions by moves of one axis at a time."""
    x = ctx.activation(node)
    rank = len(ctx.shape(x))
    permute(ctx, x, node.attrs.get("perm", list(reversed(range(rank)))), node.outputs[0])


def permute(ctx: Context, x: str, perm: Sequence[int], output: str) -> None:
    """``x`` with output dim i = input dim perm[i], in steps of at most four dimensions."""
    shape = ctx.shape(x)
    if len(shape) <= ENGINE_RANK:
        ctx.transpose(x, perm, output)
        return
    order = list(range(len(shape)))
    for place, axis in enumerate(perm):
        at = order.index(axis)
        if at == place:
            continue
        dims = [shape[i] for i in order]
        view = [math.prod(part) for part in (dims[:place], dims[place:at], dims[at : at + 1], dims[at + 1 :])]
        x = ctx.transpose(ctx.reshape(x, view), (0, 2, 1, 3))
        order.insert(place, order.pop(at))
    ctx.reshape(x, ctx.shape(output), output)


@lowers("DepthToSpace")
def depth_to_space(ctx: Context, node: SourceNode) -> None:
    """Pixel shuffle, in both orders."""
    x, (_, channels, height, width) = ctx.image(node)
    block = int(node.attrs.get("blocksize", 0))
    if block < 1 or channels % (block * block):
        raise Unsupported(f"{block} for {channels} channels", "blocksize")
    depth = channels // (block * block)
    if node.attrs.get("mode", "DCR") == "CRD":
        view, perm = (1, depth, block, block, height, width), (0, 1, 4, 2, 5, 3)
    else:
        view, perm = (1, block, block, depth, height, width), (0, 3, 4, 1, 5, 2)
    permute(ctx, ctx.reshape(x, view), perm, node.outputs[0])


@lowers("SpaceToDepth")
def space_to_depth(ctx: Context, node: SourceNode) -> None:
    """Pixels of a block become channels."""
    x, (_, channels, height, width) = ctx.image(node)
    block = int(node.attrs.get("blocksize", 0))
    if block < 1 or height % block or width % block:
        raise Unsupported(f"{block} for {height}x{width} pixels", "blocksize")
    view = (1, channels, height // block, block, width // block, block)
    permute(ctx, ctx.reshape(x, view), (0, 3, 5, 1, 2, 4), node.outputs[0])


@lowers("Concat")
def concat(ctx: Context, node: SourceNode) -> None:
    """More inputs than an operator takes are joined in groups; channels of zeros pad the input beside them."""
    output = node.outputs[0]
    axis = int(node.attrs["axis"]) % len(ctx.shape(output))
    parts = _joined(ctx, node) if axis == 1 else [ctx.activation(node, i) for i in range(len(node.inputs))]
    while len(parts) > MAX_CONCAT:
        head = parts[:MAX_CONCAT]
        shape = list(ctx.shape(head[0]))
        shape[axis] = sum(ctx.shape(part)[axis] for part in head)
        parts = [ctx.emit("concat", head, ctx.fresh(output, shape), {"axis": axis}), *parts[MAX_CONCAT:]]
    if len(parts) == 1:
        ctx.reshape(parts[0], ctx.shape(output), output)
    else:
        ctx.emit("concat", parts, output, {"axis": axis})


def _joined(ctx: Context, node: SourceNode) -> list[str]:
    """The activations that a concat of channels joins, each with the constant zeros after it, the first those before."""
    parts: list[tuple[str, list[int]]] = []  # value, its channels with -1 for zero
    waiting: list[int] = []
    for index, name in enumerate(node.inputs):
        constant = ctx.constants.get(name)
        if constant is None or constant.any():
            count = ctx.shape(ctx.activation(node, index))[1]
            parts.append((name, waiting + list(range(count))))
            waiting = []
        elif parts:
            parts[-1][1].extend([-1] * constant.shape[1])
        else:
            waiting += [-1] * constant.shape[1]
    results = []
    for name, channels in parts:
        shape = ctx.shape(name)
        if len(channels) > shape[1]:
            padded = ctx.fresh(name, (shape[0], len(channels), *shape[2:]))
            select_channels(ctx, name, channels, padded)
            name = padded
        results.append(name)
    return results


@lowers("Pad")
def pad(ctx: Context, node: SourceNode) -> None:
    """Zeros around the image, and after or before the channels."""
    mode = node.attrs.get("mode", "constant")
    if mode != "constant":
        raise Unsupported(f"mode {mode!r}", "mode", "only padding with zeros runs")
    value = ctx.optional(node, 2, "constant_value")
    fill = (
        float(value.reshape(-1)[0])
        if value is not None and value.size
        else float(node.attrs.get("value", 0.0))
    )
    if fill != 0.0:
        raise Unsupported(f"padding with {fill}", "constant_value", "only padding with zeros runs")
    x, shape = ctx.image(node)
    begin, end = _pads(ctx, node)
    if min(begin + end) < 0:
        raise Unsupported("negative padding", "pads", "slice instead")
    if begin[0] or end[0]:
        raise Unsupported("padding of the batch", "pads")
    output = node.outputs[0]
    pads = (begin[2], begin[3], end[2], end[3])
    if not begin[1] and not end[1]:
        ctx.emit("pad", [x], output, {"pads": pads})
        return
    if any(pads):
        x = ctx.emit("pad", [x], ctx.fresh(x, (1, shape[1], *ctx.shape(output)[2:])), {"pads": pads})
    select_channels(ctx, x, [-1] * begin[1] + list(range(shape[1])) + [-1] * end[1], output)


def _pads(ctx: Context, node: SourceNode) -> tuple[list[int], list[int]]:
    """Padding before and after each of the four axes."""
    if ctx.opset < 11:
        pads = [int(pad) for pad in node.attrs.get("pads", node.attrs.get("paddings", []))]
    else:
        pads = [int(pad) for pad in ctx.constant(node, 1, "pads").reshape(-1)]
    given = ctx.optional(node, 3, "axes")
    axes = [0, 1, 2, 3] if given is None else [int(axis) % 4 for axis in given.reshape(-1)]
    if len(pads) != 2 * len(axes):
        raise Unsupported(f"{len(pads)} values for {len(axes)} axes", "pads")
    begin, end = [0] * 4, [0] * 4
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        begin[axis], end[axis] = before, after
    return begin, end


@lowers("Resize", "Upsample")
def resize(ctx: Context, node: SourceNode) -> None:
    """Nearest or bilinear; the output size is static, and the scale is exactly output / input."""
    x, shape = ctx.image(node)
    output = ctx.shape(node.outputs[0])
    if output[:2] != shape[:2]:
        raise Unsupported("it resizes batch or channels", "scales")
    for attribute, default in (
        ("antialias", 0),
        ("exclude_outside", 0),
        ("keep_aspect_ratio_policy", "stretch"),
    ):
        if node.attrs.get(attribute, default) != default:
            raise Unsupported(f"{node.attrs[attribute]!r}", attribute, f"only {default!r} runs")
    mode = {"nearest": "nearest", "linear": "bilinear", "bilinear": "bilinear"}.get(
        node.attrs.get("mode", "nearest")
    )
    if mode is None:
        raise Unsupported(f"{node.attrs['mode']!r}", "mode", "nearest and linear run")
    _check_scales(ctx, node, shape, output)
    attrs: dict[str, Any] = {"mode": mode, "size": output[2:]} | _sampling(ctx, node, shape[2:], output[2:])
    ctx.emit("resize", [x], node.outputs[0], attrs)


def _check_scales(ctx: Context, node: SourceNode, shape: Sequence[int], output: Sequence[int]) -> None:
    given = ctx.optional(node, 1 if node.op_type == "Upsample" or ctx.opset < 11 else 2, "scales")
    scales = np.asarray(node.attrs.get("scales", []), np.float64) if given is None else given.reshape(-1)
    axes = node.attrs.get("axes", range(4)) if scales.size else []
    if len(axes) != scales.size:
        raise Unsupported(f"{scales.size} scales for {len(axes)} axes", "scales")
    for axis, scale in zip(axes, scales.tolist(), strict=True):
        if abs(shape[axis] * scale - output[axis]) > 1e-3:
            raise Unsupported(f"{shape[axis]} * {scale} is not whole", "scales", "export with sizes instead")


def _sampling(ctx: Context, node: SourceNode, size: Sequence[int], output: Sequence[int]) -> dict[str, str]:
    """Coordinate transformation and rounding; before opset 11 both were fixed."""
    if node.op_type == "Upsample" or ctx.opset < 11:
        return {"coordinates": "asymmetric", "rounding": "floor"}
    coordinates = node.attrs.get("coordinate_transformation_mode", "half_pixel")
    if coordinates == "pytorch_half_pixel" and all(
        o > 1 or s == 1 for o, s in zip(output, size, strict=True)
    ):
        coordinates = "half_pixel"
    if coordinates not in ("half_pixel", "asymmetric", "align_corners"):
        hint = "half_pixel, pytorch_half_pixel to more than one pixel, asymmetric and align_corners run"
        raise Unsupported(f"{coordinates!r}", "coordinate_transformation_mode", hint)
    rounding = node.attrs.get("nearest_mode", "round_prefer_floor")
    if rounding not in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        raise Unsupported(f"{rounding!r}", "nearest_mode")
    return {"coordinates": coordinates, "rounding": rounding}
