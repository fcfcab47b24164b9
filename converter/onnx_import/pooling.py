"""Poolings and means over the image."""

from __future__ import annotations

from typing import Any

from .context import Context, SourceNode, Unsupported, lowers
from .windows import ceil_extension, explicit_pads, spatial


@lowers("GlobalAveragePool")
def global_average_pool(ctx: Context, node: SourceNode) -> None:
    """Average over the whole image."""
    x, shape = ctx.image(node)
    ctx.emit("avg_pool", [x], node.outputs[0], whole_image(shape[2], shape[3]) | {"include_pad": False})


@lowers("GlobalMaxPool")
def global_max_pool(ctx: Context, node: SourceNode) -> None:
    """Maximum over the whole image."""
    x, shape = ctx.image(node)
    ctx.emit("max_pool", [x], node.outputs[0], whole_image(shape[2], shape[3]))


def whole_image(height: int, width: int) -> dict[str, Any]:
    """Attributes of a pooling with one window that covers the image."""
    return {"kernel": (height, width), "strides": (1, 1), "pads": (0, 0, 0, 0)}


@lowers("MaxPool")
def max_pool(ctx: Context, node: SourceNode) -> None:
    """Maximum over windows."""
    ctx.single_output(node, "indices", "unpooling does not run")
    if spatial(node, "dilations") != (1, 1):
        raise Unsupported("dilated pooling", "dilations")
    x, attrs, extra = _window(ctx, node)
    top, left, bottom, right = attrs["pads"]
    attrs["pads"] = (top, left, bottom + extra[0], right + extra[1])
    ctx.emit("max_pool", [x], node.outputs[0], attrs)


@lowers("AveragePool")
def average_pool(ctx: Context, node: SourceNode) -> None:
    """Average over windows, of the taps inside the image or of all."""
    if spatial(node, "dilations") != (1, 1):
        raise Unsupported("dilated pooling", "dilations")
    x, attrs, extra = _window(ctx, node)
    include = bool(node.attrs.get("count_include_pad", 0))
    top, left, bottom, right = attrs["pads"]
    if include and any(extra) and any(attrs["pads"]):
        # The node's own padding counts, what ceil_mode adds does not: the first becomes an operator of its own.
        height, width = ctx.shape(x)[2:]
        padded = ctx.fresh(x, (1, ctx.shape(x)[1], height + top + bottom, width + left + right))
        x = ctx.emit("pad", [x], padded, {"pads": attrs["pads"]})
        top = left = bottom = right = 0
    attrs["pads"] = (top, left, bottom + extra[0], right + extra[1])
    ctx.emit("avg_pool", [x], node.outputs[0], attrs | {"include_pad": include and not any(extra)})


def _window(ctx: Context, node: SourceNode) -> tuple[str, dict[str, Any], tuple[int, int]]:
    """Input, window attributes, and the (bottom, right) padding that ceil_mode adds."""
    x, shape = ctx.image(node)
    kernel = node.attrs.get("kernel_shape", ())
    if len(kernel) != 2 or min(kernel) < 1:
        raise Unsupported(
            f"{list(kernel)} is not two positive values", "kernel_shape", "only 2-D poolings run"
        )
    strides = spatial(node, "strides")
    pads = explicit_pads(node, shape[2:], kernel, strides, (1, 1))
    extra = ceil_extension(shape[2:], kernel, strides, pads) if node.attrs.get("ceil_mode", 0) else (0, 0)
    return x, {"kernel": (int(kernel[0]), int(kernel[1])), "strides": strides, "pads": pads}, extra


@lowers("ReduceMean", "ReduceMax")
def reduce_image(ctx: Context, node: SourceNode) -> None:
    """Mean or maximum over height, width or both; over the one that is left after another such node."""
    x = ctx.activation(node)
    shape = ctx.shape(x)
    given = ctx.optional(node, 1, "axes")
    axes = given.reshape(-1).tolist() if given is not None else list(node.attrs.get("axes", []))
    reduced = {int(axis) % len(shape) for axis in axes} if shape else set()
    if len(shape) not in (3, 4) or shape[0] != 1 or not reduced or min(reduced) < 2:
        raise Unsupported(
            f"over axes {axes} of {list(shape)}", "axes", "reductions over height and width (2, 3) run"
        )
    if len(shape) == 3:
        x, shape = ctx.reshape(x, (*shape, 1)), (*shape, 1)
    kernel = tuple(shape[axis] if axis in reduced else 1 for axis in (2, 3))
    attrs: dict[str, Any] = {"kernel": kernel, "strides": (1, 1), "pads": (0, 0, 0, 0)}
    pooled_shape = (*shape[:2], *(1 if axis in reduced else shape[axis] for axis in (2, 3)))
    direct = ctx.shape(node.outputs[0]) == pooled_shape
    pooled = node.outputs[0] if direct else ctx.fresh(x, pooled_shape)
    if node.op_type == "ReduceMean":
        ctx.emit("avg_pool", [x], pooled, attrs | {"include_pad": False})
    else:
        ctx.emit("max_pool", [x], pooled, attrs)
    if not direct:
        ctx.reshape(pooled, ctx.shape(node.outputs[0]), node.outputs[0])
