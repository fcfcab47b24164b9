"""resize: the sampling positions of every output row and column as integer tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.ir import Node
from lacewing.converter.lowering.builder import Builder
from lacewing.format.description import RESIZE_MODES

Array = npt.NDArray[Any]

# ONNX nearest_mode
ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def source_positions(output: int, size: int, coordinates: str) -> Array:
    """[output] f64: where each output index lies on an axis of ``size`` inputs (ONNX coordinate modes)."""
    index = np.arange(output, dtype=np.float64)
    if coordinates == "asymmetric":
        return index * size / output
    if coordinates == "align_corners":
        return index * (size - 1) / max(output - 1, 1)
    if coordinates == "pytorch_half_pixel" and output == 1:
        return np.zeros(1)
    return (index + 0.5) * size / output - 0.5


def axis_tables(output: int, size: int, node: Node) -> dict[str, Array]:
    """low [output] u16; for bilinear also high and weight (of high, in 1/256)."""
    position = source_positions(output, size, str(node.attrs["coordinates"]))
    if node.attrs["mode"] == "nearest":
        rounding = ROUNDINGS[str(node.attrs.get("rounding") or "round_prefer_floor")]
        return {"low": np.clip(rounding(position), 0, size - 1).astype(np.uint16)}
    position = np.clip(position, 0, size - 1)
    low = np.floor(position)
    return {
        "low": low.astype(np.uint16),
        "high": np.minimum(low + 1, size - 1).astype(np.uint16),
        "weight": np.rint((position - low) * 256).astype(np.uint16),
    }


def lower_resize(builder: Builder, node: Node) -> None:
    """nearest or bilinear."""
    _, _, height, width = builder.dims(node.inputs[0])
    _, _, out_height, out_width = builder.dims(node.output)
    data = {f"row_{k}": v for k, v in axis_tables(out_height, height, node).items()}
    data |= {f"col_{k}": v for k, v in axis_tables(out_width, width, node).items()}
    tensor = builder.rescaled(builder.u7_quads(node.inputs[0]), builder.quantization(node.output))
    mode = RESIZE_MODES[str(node.attrs["mode"])]
    builder.op("resize", node.name, [tensor], builder.result(node.output, "u7_quads"), {"mode": mode}, data)
