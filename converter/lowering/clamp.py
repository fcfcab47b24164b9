"""A fused clamp as two levels of the output."""

from __future__ import annotations

import math

from lacewing.converter.ir import Node
from lacewing.converter.quantization.parameters import Quantization


def clamp_attributes(node: Node, output: Quantization) -> dict[str, float | int]:
    """clamp_min and clamp_max for ``attrs["clip"]``; the whole of 0..127 without one."""
    low, high = node.attrs.get("clip", (-math.inf, math.inf))
    return {"clamp_min": output.level(float(low)), "clamp_max": output.level(float(high))}
