"""avg_pool and max_pool."""

from __future__ import annotations

import numpy as np

from lacewing.converter.ir import Node
from lacewing.converter.lowering.builder import Builder
from lacewing.converter.lowering.clamp import clamp_attributes
from lacewing.converter.quantization.parameters import Quantization

Attributes = dict[str, float | int]


def lower_avg_pool(builder: Builder, node: Node) -> None:
    """Integer sum, one multiplier; one per count of taps where padding is not counted. u7, or float32 at the end."""
    window = _window(node)
    taps = int(window["kernel_h"]) * int(window["kernel_w"])
    include_pad = int(bool(node.attrs.get("include_pad", False)))
    padded = any(window[f"pad_{side}"] for side in ("top", "left", "bottom", "right"))
    source, is_float = builder.quantization(node.inputs[0]), builder.plan.is_float(node.output)
    target = Quantization(1.0, 0) if is_float else builder.quantization(node.output)
    counts = np.arange(1, taps + 1) if padded and not include_pad else np.array([taps])
    multipliers = (source.scale / (counts.astype(np.float64) * target.scale)).astype(np.float32)
    attributes = {**window, "include_pad": include_pad, **clamp_attributes(node, target)}
    tensor = builder.u7_quads(node.inputs[0])
    output = builder.result(node.output, "f32_plain" if is_float else "u7_quads")
    builder.op("avg_pool", node.name, [tensor], output, attributes, {"multipliers": multipliers})


def lower_max_pool(builder: Builder, node: Node) -> None:
    """The largest level; the quantization stays."""
    tensor = builder.rescaled(builder.u7_quads(node.inputs[0]), builder.quantization(node.output))
    builder.op("max_pool", node.name, [tensor], builder.result(node.output, "u7_quads"), _window(node))


def _window(node: Node) -> Attributes:
    kernel, strides = node.attrs["kernel"], node.attrs.get("strides", (1, 1))
    pads = node.attrs.get("pads", (0, 0, 0, 0))
    attributes: Attributes = {f"kernel_{axis}": int(kernel[i]) for i, axis in enumerate("hw")}
    attributes |= {f"stride_{axis}": int(strides[i]) for i, axis in enumerate("hw")}
    sides = ("top", "left", "bottom", "right")
    return attributes | {f"pad_{side}": int(p) for side, p in zip(sides, pads, strict=True)}
