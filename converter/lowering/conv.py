"""conv, depthwise and gemm: integer weights, folded bias, one float32 multiplier per channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.ir import Node
from lacewing.converter.lowering.blocks import (
    expand_groups,
    occupied,
    pack_mask,
    smallest_block_rows,
    to_blocks,
)
from lacewing.converter.lowering.builder import Builder
from lacewing.converter.lowering.clamp import clamp_attributes
from lacewing.converter.quantization.forms import is_depthwise
from lacewing.converter.quantization.parameters import Quantization
from lacewing.converter.quantization.plan import LayerPlan
from lacewing.converter.quantization.weights import quantize_weights
from lacewing.format.description import ENCODINGS, QUAD
from lacewing.format.model import ceil_div

Array = npt.NDArray[Any]
Attributes = dict[str, float | int]


def lower_conv(builder: Builder, node: Node) -> None:
    """conv -> depthwise where each channel has its own filter, else conv.

    Groups, and the zeros of a conv that only selects channels, become a block mask.
    """
    if is_depthwise(node):
        _lower_depthwise(builder, node)
        return
    layer = builder.plan.layers[node.name]
    groups = int(node.attrs.get("groups", 1))
    weight, bias, scale = integers(builder, node, layer)
    full = expand_groups(weight, groups)
    hollow = groups > 1 or bool(node.attrs.get("fixed"))
    rows = smallest_block_rows(full) if hollow else layer.block_rows
    keep = occupied(full, rows)
    if not hollow and layer.keep is None:
        keep[:] = True
    _emit(builder, node, _window(node), full, keep, rows, bias, scale)


def lower_gemm(builder: Builder, node: Node) -> None:
    """gemm -> 1x1 conv on one pixel."""
    layer = builder.plan.layers[node.name]
    weight, bias, scale = integers(builder, node, layer)
    full = weight[:, :, None, None]
    keep = occupied(full, layer.block_rows)
    if layer.keep is None:
        keep[:] = True
    window = dict.fromkeys(("kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w"), 1)
    pads = dict.fromkeys(("pad_top", "pad_left", "pad_bottom", "pad_right"), 0)
    _emit(builder, node, {**window, **pads}, full, keep, layer.block_rows, bias, scale)


def integers(builder: Builder, node: Node, layer: LayerPlan) -> tuple[Array, Array, Array]:
    """(weight int8 as in the layer, bias [O] int32 with the input's zero point folded in, multiplier [O] f32)."""
    source = builder.quantization(node.inputs[0])
    scales = layer.weight_scales(source.scale)
    weight = quantize_weights(layer.weight, scales)
    sums = weight.reshape(len(weight), -1).astype(np.int64).sum(axis=1)
    bias = np.rint(layer.bias / (source.scale * scales)).astype(np.int64) - source.zero_point * sums
    target = 1.0 if builder.plan.is_float(node.output) else builder.quantization(node.output).scale
    return weight, bias.astype(np.int32), (source.scale * scales / target).astype(np.float32)


def _lower_depthwise(builder: Builder, node: Node) -> None:
    layer = builder.plan.layers[node.name]
    weight, bias, scale = integers(builder, node, layer)
    c, _, kh, kw = weight.shape
    c4 = ceil_div(c, QUAD)
    padded = np.zeros((c4 * QUAD, kh * kw), np.int8)
    padded[:c] = weight.reshape(c, kh * kw)
    data = {
        "weights": padded.reshape(c4, QUAD, kh * kw).transpose(0, 2, 1),
        "bias": _padded(bias, c4 * QUAD),
        "scale": _padded(scale, c4 * QUAD),
    }
    source = builder.u7_quads(node.inputs[0])
    output = builder.result(node.output, "u7_quads")
    attributes = {**_window(node), **clamp_attributes(node, builder.quantization(node.output))}
    builder.op("depthwise", node.name, [source], output, attributes, data)


def _emit(
    builder: Builder,
    node: Node,
    window: Attributes,
    weight: Array,
    keep: npt.NDArray[np.bool_],
    block_rows: int,
    bias: Array,
    scale: Array,
) -> None:
    channels = len(keep) * block_rows
    blocks = to_blocks(weight, block_rows)
    data = {"weights": blocks[keep], "bias": _padded(bias, channels), "scale": _padded(scale, channels)}
    dense = bool(keep.all())
    if not dense:
        data["mask"] = pack_mask(keep)
    is_float = builder.plan.is_float(node.output)
    source = builder.u7_quads(node.inputs[0])
    output = builder.result(node.output, "f32_plain" if is_float else "u7_quads")
    clamp = Quantization(1.0, 0) if is_float else builder.quantization(node.output)
    attributes: Attributes = {
        **window,
        "block_rows": block_rows,
        "encoding": ENCODINGS["dense" if dense else "bitmask"],
        **clamp_attributes(node, clamp),
    }
    builder.op("conv", node.name, [source], output, attributes, data)


def _window(node: Node) -> Attributes:
    kernel = node.weights["weight"].shape[2:]
    pads = node.attrs.get("pads", (0, 0, 0, 0))
    pairs = {
        "kernel": kernel,
        "stride": node.attrs.get("strides", (1, 1)),
        "dilation": node.attrs.get("dilations", (1, 1)),
    }
    attributes: Attributes = {
        f"{k}_{axis}": int(v[i]) for k, v in pairs.items() for i, axis in enumerate("hw")
    }
    sides = ("top", "left", "bottom", "right")
    return attributes | {f"pad_{side}": int(p) for side, p in zip(sides, pads, strict=True)}


def _padded(values: Array, length: int) -> Array:
    return np.concatenate([values, np.zeros(length - len(values), values.dtype)])
