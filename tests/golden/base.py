"""The small valid model that the bad files are made from: written by hand, so that it never changes.

input f32 [1,3,5,5] -> quantize -> conv 3x3 bitmask 4x4 -> resize bilinear -> table per channel -> layout -> dequantize
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lacewing.format import Model, Op, Tensor
from lacewing.format.description import ENCODINGS, RESIZE_MODES

QUANTIZE, CONV, RESIZE, TABLE, LAYOUT, DEQUANTIZE = range(6)  # operators
INPUT, PIXELS, FEATURES, LARGER, MAPPED, PLAIN, OUTPUT = range(7)  # tensors


def base_model() -> Model:
    """About 3 KB as a file; two operators with several data parts, padding channels on both sides of the conv."""
    model = Model(inputs=[INPUT], outputs=[OUTPUT], metadata={"name": "base"})
    model.tensors = [
        Tensor("image", "f32", "plain", (1, 3, 5, 5)),
        Tensor("pixels", "u7", "quads", (1, 3, 5, 5), 0.0625, 64),
        Tensor("features", "u7", "quads", (1, 5, 5, 5), 0.125, 10),
        Tensor("larger", "u7", "quads", (1, 5, 8, 7), 0.125, 10),
        Tensor("mapped", "u7", "quads", (1, 5, 8, 7), 0.25, 0),
        Tensor("plain", "u7", "plain", (1, 5, 8, 7), 0.25, 0),
        Tensor("result", "f32", "plain", (1, 5, 8, 7)),
    ]
    model.ops = [
        Op("quantize", "quantize", [INPUT], PIXELS, {"inverse_scale": 16.0}),
        _conv(),
        _resize(),
        Op("table", "map", [LARGER], MAPPED, {"channels": 5}, {"table": _tables()}),
        Op("layout", "unpack", [MAPPED], PLAIN),
        Op("dequantize", "dequantize", [PLAIN], OUTPUT),
    ]
    return model


def _conv() -> Op:
    kept = np.zeros((2, 16), bool)  # rows of blocks x bits; K4 = 9
    kept[0, [0, 4, 5, 8]] = True
    kept[1, [1, 4]] = True
    weights = (np.arange(6 * 4 * 4).reshape(6, 4, 4) * 37 % 255 - 127).astype(np.int8)
    weights[:, :, 3] = 0  # the input has 3 channels
    weights[4:, 1:] = 0  # the second row of blocks has one channel
    rowsum = np.stack([weights[:4].astype(int).sum(axis=(0, 2)), weights[4:].astype(int).sum(axis=(0, 2))])
    exists = np.arange(8) < 5
    window = {"kernel_h": 3, "kernel_w": 3, "stride_h": 1, "stride_w": 1, "dilation_h": 1, "dilation_w": 1}
    window |= {"pad_top": 1, "pad_left": 1, "pad_bottom": 1, "pad_right": 1}
    return Op(
        "conv",
        "conv",
        [PIXELS],
        FEATURES,
        {**window, "block_rows": 4, "encoding": ENCODINGS["bitmask"], "clamp_min": 10, "clamp_max": 127},
        {
            "mask": np.packbits(kept, axis=1, bitorder="little"),
            "weights": weights,
            "bias": np.where(exists, -64 * rowsum.reshape(-1) + 100, 0).astype(np.int32),
            "scale": np.where(exists, 2.0**-8, 0).astype(np.float32),
        },
    )


def _resize() -> Op:
    rows, cols = np.arange(8) * 4 // 7, np.arange(7) * 4 // 6
    return Op(
        "resize",
        "enlarge",
        [FEATURES],
        LARGER,
        {"mode": RESIZE_MODES["bilinear"]},
        {
            "row_low": rows.astype(np.uint16),
            "row_high": np.minimum(rows + 1, 4).astype(np.uint16),
            "row_weight": (np.arange(8) * 32).astype(np.uint16),
            "col_low": cols.astype(np.uint16),
            "col_high": np.minimum(cols + 1, 4).astype(np.uint16),
            "col_weight": (np.arange(7) * 40).astype(np.uint16),
        },
    )


def _tables() -> npt.NDArray[np.uint8]:
    tables = [np.minimum(np.arange(128) * (c + 1) // 2, 127) for c in range(5)]
    return np.asarray(np.stack(tables), np.uint8)
