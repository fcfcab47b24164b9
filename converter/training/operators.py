"""Every canonical operator of the IR as a torch function: the one list that the float network runs from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lacewing.converter.errors import TrainingError
from lacewing.converter.ir import Node
from lacewing.converter.lowering.resize import ROUNDINGS, source_positions

Weights = Mapping[str, Tensor]
Operator = Callable[[Node, Weights, list[Tensor]], Tensor]


def _conv(node: Node, weights: Weights, inputs: list[Tensor]) -> Tensor:
    return convolve(node, inputs[0], weights["weight"], weights["bias"])


def convolve(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """[N,O,OH,OW]: the node's convolution or matrix product of x [N,C,H,W] (gemm: [N,K] -> [N,O])."""
    if node.op == "gemm":
        return functional.linear(x, weight, bias)
    top, left, bottom, right = (int(p) for p in node.attrs["pads"])
    padding = (top, left)
    if (top, left) != (bottom, right):
        x, padding = functional.pad(x, (left, right, top, bottom)), (0, 0)
    strides, dilations = tuple(node.attrs["strides"]), tuple(node.attrs["dilations"])
    groups = int(node.attrs["groups"])
    if groups > 1 and max(strides) > 1 and x.device.type == "cpu":
        # torch's bfloat16 gradient of a strided depthwise layer takes ten times as long as the float32 one.
        with torch.autocast("cpu", enabled=False):
            return functional.conv2d(x.to(weight.dtype), weight, bias, strides, padding, dilations, groups)
    return functional.conv2d(x, weight, bias, strides, padding, dilations, groups)


def _affine(node: Node, weights: Weights, inputs: list[Tensor]) -> Tensor:
    x = inputs[0]
    return x * per_channel(weights["scale"], x) + per_channel(weights["offset"], x)


def per_channel(values: Tensor, x: Tensor) -> Tensor:
    """[C] or [1] shaped to broadcast along axis 1 of ``x``."""
    return values.reshape(1, -1, *([1] * (x.dim() - 2))) if x.dim() > 1 else values


def _clip(node: Node, weights: Weights, inputs: list[Tensor]) -> Tensor:
    return clamp(inputs[0], float(node.attrs["min"]), float(node.attrs["max"]))


def clamp(x: Tensor, low: float, high: float) -> Tensor:
    """``x`` within [low, high], either of which may be infinite."""
    if low == 0.0 and math.isinf(high):
        return functional.relu(x)
    if -math.inf < low < high < math.inf:
        # The gradient of torch.clamp with two ends is four passes over x, a third of a step of MobileNet-v1.
        return functional.hardtanh(x, low, high)
    return torch.clamp(x, low if math.isfinite(low) else None, high if math.isfinite(high) else None)


# name -> f(x, alpha, beta); the float64 twins for tables stand in lowering/tables.py.
UNARY: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "sigmoid": lambda x, a, b: torch.sigmoid(x),
    "tanh": lambda x, a, b: torch.tanh(x),
    "hard_sigmoid": lambda x, a, b: torch.clamp(a * x + b, 0.0, 1.0),
    "hard_swish": lambda x, a, b: functional.hardswish(x),
    "silu": lambda x, a, b: functional.silu(x),
    "gelu": lambda x, a, b: functional.gelu(x),
    "gelu_tanh": lambda x, a, b: functional.gelu(x, approximate="tanh"),
    "leaky_relu": lambda x, a, b: functional.leaky_relu(x, a),
    "elu": lambda x, a, b: functional.elu(x, a),
    "softplus": lambda x, a, b: functional.softplus(x),
    "mish": lambda x, a, b: functional.mish(x),
    "erf": lambda x, a, b: torch.erf(x),
    "exp": lambda x, a, b: torch.exp(x),
    "sqrt": lambda x, a, b: torch.sqrt(torch.clamp(x, min=1e-12)),
    "abs": lambda x, a, b: torch.abs(x),
    "neg": lambda x, a, b: -x,
}


def unary(node: Node, x: Tensor) -> Tensor:
    """The node's function of one value."""
    alpha, beta = float(node.attrs.get("alpha", 0.0)), float(node.attrs.get("beta", 0.0))
    return UNARY[node.attrs["function"]](x, alpha, beta)


def _prelu(node: Node, weights: Weights, inputs: list[Tensor]) -> Tensor:
    return functional.prelu(inputs[0], weights["slope"].reshape(-1))


def spatial_pads(node: Node, x: Tensor, value: float) -> Tensor:
    """``x`` [N,C,H,W] with the node's pads (top, left, bottom, right) filled with ``value``."""
    top, left, bottom, right = (int(p) for p in node.attrs.get("pads", (0, 0, 0, 0)))
    if not any((top, left, bottom, right)):
        return x
    return functional.pad(x, (left, right, top, bottom), value=value)


def window_sums(node: Node, x: Tensor) -> Tensor:
    """[N,C,OH,OW]: the sum over each window of the pool ``node``; padding adds zero."""
    kernel, strides = tuple(node.attrs["kernel"]), tuple(node.attrs["strides"])
    return functional.avg_pool2d(spatial_pads(node, x, 0.0), kernel, strides, divisor_override=1)


def window_counts(node: Node, x: Tensor) -> Tensor:
    """[1,1,OH,OW] or a scalar: by what the sum of each window is divided."""
    kernel = node.attrs["kernel"]
    if node.attrs.get("include_pad") or not any(node.attrs.get("pads", ())):
        return torch.tensor(float(kernel[0] * kernel[1]), dtype=x.dtype, device=x.device)
    return window_sums(node, torch.ones_like(x[:1, :1]))


def _avg_pool(node: Node, weights: Weights, inputs: list[Tensor]) -> Tensor:
    return window_sums(node, inputs[0]) / window_counts(node, inputs[0])


def max_pool(node: Node, x: Tensor) -> Tensor:
    """[N,C,OH,OW]: the largest value of each window; padding never wins."""
    padded = spatial_pads(node, x, -math.inf)
    return functional.max_pool2d(padded, tuple(node.attrs["kernel"]), tuple(node.attrs["strides"]))


def concat(node: Node, inputs: list[Tensor]) -> Tensor:
    """The inputs joined along the node's axis."""
    return torch.cat(inputs, dim=int(node.attrs["axis"]))


def resize(x: Tensor, rows: Mapping[str, Tensor], cols: Mapping[str, Tensor]) -> Tensor:
    """x [N,C,H,W] sampled at ``low`` and, with ``weight`` (of high, 0..1), ``high`` of each output row and column."""
    return _sampled(_sampled(x, 2, rows), 3, cols)


def _sampled(x: Tensor, axis: int, table: Mapping[str, Tensor]) -> Tensor:
    low = x.index_select(axis, table["low"])
    if "weight" not in table:
        return low
    weight = table["weight"].reshape(-1, *([1] * (3 - axis)))
    return low * (1 - weight) + x.index_select(axis, table["high"]) * weight


def exact_axis(output: int, size: int, node: Node) -> dict[str, np.ndarray[Any, Any]]:
    """low, and for bilinear high and weight, of one axis, in float64 as ONNX defines them."""
    position = source_positions(output, size, str(node.attrs["coordinates"]))
    if node.attrs["mode"] == "nearest":
        rounding = ROUNDINGS[str(node.attrs.get("rounding") or "round_prefer_floor")]
        return {"low": np.clip(rounding(position), 0, size - 1)}
    position = np.clip(position, 0, size - 1)
    low = np.floor(position)
    return {"low": low, "high": np.minimum(low + 1, size - 1), "weight": position - low}


def axis_tensors(table: Mapping[str, np.ndarray[Any, Any]], x: Tensor) -> dict[str, Tensor]:
    """The table of one axis as tensors beside ``x``: indices int64, weights in the type of ``x``."""
    found = {k: torch.from_numpy(v.astype(np.int64)).to(x.device) for k, v in table.items() if k != "weight"}
    if "weight" in table:
        found["weight"] = torch.from_numpy(table["weight"].astype(np.float64)).to(x)
    return found


def _resize(node: Node, weights: Weights, inputs: list[Tensor]) -> Tensor:
    x, size = inputs[0], node.attrs["size"]
    rows, cols = (
        axis_tensors(exact_axis(int(o), int(i), node), x) for o, i in zip(size, x.shape[2:], strict=True)
    )
    return resize(x, rows, cols)


def reshape(node: Node, x: Tensor) -> Tensor:
    """The node's reshape with the batch of ``x``."""
    return x.reshape(len(x), *(int(n) for n in node.attrs["shape"][1:]))


def transpose(node: Node, x: Tensor) -> Tensor:
    """The node's permutation of axes."""
    return x.permute(*(int(p) for p in node.attrs["perm"]))


OPERATORS: dict[str, Operator] = {
    "conv": _conv,
    "gemm": _conv,
    "add": lambda node, weights, inputs: inputs[0] + inputs[1],
    "mul": lambda node, weights, inputs: inputs[0] * inputs[1],
    "affine": _affine,
    "clip": _clip,
    "unary": lambda node, weights, inputs: unary(node, inputs[0]),
    "prelu": _prelu,
    "avg_pool": _avg_pool,
    "max_pool": lambda node, weights, inputs: max_pool(node, inputs[0]),
    "concat": lambda node, weights, inputs: concat(node, inputs),
    "pad": lambda node, weights, inputs: spatial_pads(node, inputs[0], 0.0),
    "resize": _resize,
    "softmax": lambda node, weights, inputs: torch.softmax(inputs[0], int(node.attrs["axis"])),
    "reshape": lambda node, weights, inputs: reshape(node, inputs[0]),
    "transpose": lambda node, weights, inputs: transpose(node, inputs[0]),
}


def batch_norm(node: Node, weights: Weights, x: Tensor, training: bool, momentum: float) -> Tensor:
    """Normalizes ``x`` per channel; in training by the batch's own moments, which the running ones follow.

    Raises TrainingError where the batch has no moments.
    """
    if training and x.numel() == x.shape[1]:
        raise TrainingError(
            f"{node.name}: a batch norm needs more than one value per channel: take a larger batch_size, or fewer processes"
        )
    return functional.batch_norm(
        x,
        weights["mean"],
        weights["variance"],
        weights["scale"],
        weights["offset"],
        training,
        momentum,
        float(node.attrs["epsilon"]),
    )
