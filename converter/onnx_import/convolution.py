"""Conv, Gemm, MatMul, BatchNormalization: the operators with weights."""

from __future__ import annotations

import numpy as np

from ..ir import FloatArray
from .context import Context, SourceNode, Unsupported, lowers
from .windows import explicit_pads, spatial


@lowers("Conv")
def conv(ctx: Context, node: SourceNode) -> None:
    """2-D convolution with constant weights."""
    weight = ctx.floats(node, 1, "W")
    if weight.ndim != 4:
        raise Unsupported(f"{weight.ndim - 2}-D convolution", "W", "only 2-D convolutions run")
    x, shape = ctx.image(node)
    kernel = (weight.shape[2], weight.shape[3])
    if "kernel_shape" in node.attrs and tuple(node.attrs["kernel_shape"]) != kernel:
        raise Unsupported(f"it is not the weights' {kernel}", "kernel_shape")
    groups = int(node.attrs.get("group", 1))
    if groups < 1 or weight.shape[0] % groups or weight.shape[1] * groups != shape[1]:
        raise Unsupported(f"{groups} groups, weights {weight.shape}, {shape[1]} channels", "group")
    strides, dilations = spatial(node, "strides"), spatial(node, "dilations")
    attrs = {
        "strides": strides,
        "dilations": dilations,
        "pads": explicit_pads(node, shape[2:], kernel, strides, dilations),
        "groups": groups,
    }
    bias = ctx.floats(node, 2, "B") if node.input(2) else np.zeros(weight.shape[0], np.float32)
    ctx.emit("conv", [x], node.outputs[0], attrs, {"weight": weight, "bias": _bias(bias, weight.shape[0])})


def _bias(bias: FloatArray, channels: int) -> FloatArray:
    if bias.size not in (1, channels) or (bias.ndim and bias.shape[-1] != bias.size):
        raise Unsupported(f"shape {bias.shape} is not one value per output ({channels})", "bias")
    return np.ascontiguousarray(np.broadcast_to(bias.reshape(-1), (channels,)))


@lowers("Gemm")
def gemm(ctx: Context, node: SourceNode) -> None:
    """Fully connected layer alpha * x @ W + beta * C on one row."""
    x = ctx.activation(node)
    if node.attrs.get("transA", 0):
        raise Unsupported("a transposed activation", "transA", "transpose it before")
    weight = ctx.floats(node, 1, "B")
    if weight.ndim != 2:
        raise Unsupported(f"{weight.ndim} dimensions instead of 2", "B")
    if not node.attrs.get("transB", 0):
        weight = weight.T
    weight = np.ascontiguousarray(weight * np.float32(node.attrs.get("alpha", 1.0)))
    bias = ctx.floats(node, 2, "C") if node.input(2) else np.zeros(weight.shape[0], np.float32)
    bias = _bias(bias * np.float32(node.attrs.get("beta", 1.0)), weight.shape[0])
    _fully_connected(ctx, x, weight, bias, node.outputs[0])


@lowers("MatMul")
def matmul(ctx: Context, node: SourceNode) -> None:
    """Product with a constant matrix; an Add of a constant after it becomes its bias in a pass."""
    x = ctx.activation(node)
    if node.input(1) not in ctx.constants:
        raise Unsupported(
            "both factors are computed at run time", "input 1", "attention does not run in int8"
        )
    weight = ctx.floats(node, 1, "input 1")
    if weight.ndim != 2:
        raise Unsupported(f"{weight.ndim} dimensions instead of 2", "input 1")
    weight = np.ascontiguousarray(weight.T)
    _fully_connected(ctx, x, weight, np.zeros(weight.shape[0], np.float32), node.outputs[0])


def _fully_connected(ctx: Context, x: str, weight: FloatArray, bias: FloatArray, output: str) -> None:
    """x [..., K] -> [..., O]: a gemm on one row, a 1x1 convolution over the rows otherwise."""
    shape = ctx.shape(x)
    rows, features = int(np.prod(shape[:-1])), shape[-1] if shape else 0
    if features != weight.shape[1]:
        raise Unsupported(f"{features} features meet weights for {weight.shape[1]}")
    outputs = weight.shape[0]
    if rows == 1:
        row = x if len(shape) == 2 else ctx.reshape(x, (1, features))
        target = output if len(shape) == 2 else ctx.fresh(output, (1, outputs))
        ctx.emit("gemm", [row], target, {}, {"weight": weight, "bias": bias})
        if target != output:
            ctx.reshape(target, ctx.shape(output), output)
        return
    columns = ctx.transpose(ctx.reshape(x, (1, rows, features)), (0, 2, 1))
    image = ctx.reshape(columns, (1, features, rows, 1))
    result = ctx.fresh(output, (1, outputs, rows, 1))
    attrs = {"strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0), "groups": 1}
    ctx.emit("conv", [image], result, attrs, {"weight": weight[:, :, None, None], "bias": bias})
    back = ctx.transpose(ctx.reshape(result, (1, outputs, rows)), (0, 2, 1))
    ctx.reshape(back, ctx.shape(output), output)


@lowers("BatchNormalization")
def batch_normalization(ctx: Context, node: SourceNode) -> None:
    """Inference form only; a pass folds it into the convolution before or after it."""
    x = ctx.activation(node)
    if node.attrs.get("training_mode", 0):
        raise Unsupported("training mode", "training_mode", "export with model.eval()")
    if node.attrs.get("spatial", 1) != 1:
        raise Unsupported("statistics per element instead of per channel", "spatial")
    ctx.single_output(node, "statistics", "export with model.eval()")
    names = ("scale", "offset", "mean", "variance")
    weights = {name: ctx.floats(node, index, name) for index, name in enumerate(names, start=1)}
    shape = ctx.shape(x)
    if len(shape) < 2 or any(w.shape != (shape[1],) for w in weights.values()):
        raise Unsupported(f"parameters {weights['scale'].shape} do not fit an input {list(shape)}")
    epsilon = float(node.attrs.get("epsilon", 1e-5))
    if not (weights["variance"] + epsilon > 0).all():
        raise Unsupported("a variance is negative", "variance", "check the training or export")
    ctx.emit("batch_norm", [x], node.outputs[0], {"epsilon": epsilon}, weights)
