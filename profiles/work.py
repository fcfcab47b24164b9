"""What an operator has to do, in the units that its time is a sum of.

A gemm is computed tile by tile (64 pixels); within a tile each row of blocks runs over its kept blocks, then its sums
become output quads. Pixels come in steps, the width of the kernels' registers. So the time is the sum of

    call + tile * tiles + row * rows * tiles + quad * output quads * steps + kept * kept blocks * tiles
         + product * kept blocks * steps + far * those of a tile too large for the first-level cache
         + input * input quads * steps

with one coefficient for each unit and block size. All coefficients are at least 0: dropping a block never costs time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lacewing.format import Model, Op
from lacewing.format.description import BLOCK_ROWS, ENCODINGS, OPERATORS, QUAD, RESIZE_MODES
from lacewing.format.model import ceil_div

TILE = 64  # pixels of a gemm's tile, for every kernel but two
NEAR_BYTES = 24 * 1024  # of a tile that a first-level cache holds beside weights and output
ELEMENTS = 64  # bytes that element by element operators are counted in

BLOCKS = tuple(f"{rows}x{QUAD}" for rows in BLOCK_ROWS)
WIDE_BLOCK = "4x8"  # pairs of 4x4 blocks, which only i8mm multiplies as one
_GEMM = ("call", "tile", "row", "quad", "kept", "product", "far", "input")
_GEMV = ("call", "row", "quad", "kept", "input")
_WINDOW = ("call", "row", "step", "pixel", "tap")  # of output planes; taps of all windows
_PLAIN = ("call", "element")
DEPTHWISE = tuple(f"depthwise-{k}x{k}s{s}" for k in (3, 5) for s in (1, 2))

_SPECIAL = {"conv", "depthwise", "avg_pool", "max_pool", "resize"}
REQUIRED: dict[str, tuple[str, ...]] = {  # kernel -> its units
    **{f"gemm-{b}": _GEMM for b in ("dense", *BLOCKS)},
    **{f"gemv-{b}": _GEMV for b in ("dense", *BLOCKS)},
    "pack": ("tap", "run", "line"),
    **dict.fromkeys((*DEPTHWISE, "depthwise", "avg_pool", "max_pool"), _WINDOW),
    **{f"resize-{mode}": _PLAIN for mode in RESIZE_MODES},
    **{op.name: _PLAIN for op in OPERATORS if op.name not in _SPECIAL},
}
OPTIONAL: dict[str, tuple[str, ...]] = {
    f"gemm-{WIDE_BLOCK}": _GEMM,
    f"gemv-{WIDE_BLOCK}": _GEMV,
}


@dataclass(frozen=True)
class Work:
    """How often each unit of ``kernel`` occurs."""

    kernel: str
    amounts: Mapping[str, float]


class Conv(NamedTuple):
    """A convolution's sizes; ``packed``: its input is gathered tap by tap first (im2col)."""

    inputs: int  # channels
    outputs: int  # channels
    taps: int
    height: int  # of the output
    width: int
    packed: bool

    @property
    def pixels(self) -> int:
        """Of the output."""
        return self.height * self.width

    @property
    def depth(self) -> int:
        """Quads of weights per output channel: K4."""
        return self.taps * ceil_div(self.inputs, QUAD)

    def blocks(self, block: str) -> int:
        """Blocks ("RxC") of the whole layer."""
        rows, columns = (int(size) for size in block.split("x"))
        return ceil_div(self.outputs, rows) * (self.depth * QUAD // columns)


def conv_work(conv: Conv, block: str, kept: float, step: int) -> list[Work]:
    """The work of a convolution that keeps ``kept`` blocks "RxC"; "dense" keeps all, whatever ``kept``. step: pixels."""
    height = QUAD if block == "dense" else int(block.split("x")[0])
    rows, quads = ceil_div(conv.outputs, height), ceil_div(conv.outputs, QUAD)
    kept = rows * conv.depth if block == "dense" else kept
    if conv.pixels == 1:
        amounts = {"call": 1, "row": rows, "quad": quads, "kept": kept, "input": conv.depth}
        return [Work(f"gemv-{block}", amounts)]
    tiles, steps = ceil_div(conv.pixels, TILE), ceil_div(conv.pixels, step)
    amounts = {"call": 1, "tile": tiles, "row": rows * tiles, "quad": quads * steps}
    amounts |= {"kept": kept * tiles, "product": kept * steps, "input": conv.depth * steps}
    tile_bytes = conv.depth * QUAD * min(TILE, ceil_div(conv.pixels, step) * step)
    amounts["far"] = kept * steps * max(0.0, 1 - NEAR_BYTES / tile_bytes)
    work = [Work(f"gemm-{block}", amounts)]
    if conv.packed:
        # Every quad of a tap is copied row by row of the image: short rows cost more than they hold.
        rows = conv.height + tiles - 1
        work.append(
            Work("pack", {"tap": conv.taps * rows, "run": conv.depth * rows, "line": conv.depth * steps})
        )
    return work


def window_work(kernel: str, channels: int, size: tuple[int, int], taps: int, step: int) -> list[Work]:
    """The work of a depthwise convolution or a pool with an output of ``size`` (height, width)."""
    rows = ceil_div(channels, QUAD) * size[0]
    pixels = rows * size[1]
    steps = rows * ceil_div(size[1], step)
    return [Work(kernel, {"call": 1, "row": rows, "step": steps, "pixel": pixels, "tap": pixels * taps})]


def depthwise_kernel(kernel: tuple[int, int], stride: tuple[int, int], dilated: bool) -> str:
    """The name of the coefficients of a depthwise convolution."""
    name = f"depthwise-{kernel[0]}x{kernel[1]}s{stride[0]}"
    fits = name in DEPTHWISE and stride[0] == stride[1] and not dilated
    return name if fits else "depthwise"


def plain_work(kernel: str, elements: int) -> list[Work]:
    """The work of an operator that goes through its output once; elements: of the output."""
    return [Work(kernel, {"call": 1, "element": elements / ELEMENTS})]


def op_work(model: Model, op: Op, step: int, wide: bool) -> list[Work]:
    """The work of an operator of a file. wide: kept blocks that come in pairs are multiplied as one."""
    a, output = op.attributes, model.tensors[op.output]
    if op.kind == "conv":
        return _file_conv_work(model, op, step, wide)
    if op.kind in ("depthwise", "avg_pool", "max_pool"):
        (kh, kw), (sh, sw) = ([int(a[f"{what}_{axis}"]) for axis in "hw"] for what in ("kernel", "stride"))
        name = op.kind
        if name == "depthwise":
            name = depthwise_kernel((kh, kw), (sh, sw), (a["dilation_h"], a["dilation_w"]) != (1, 1))
        _, channels, height, width = (*output.dims, 1, 1)[:4]
        return window_work(name, channels, (height, width), kh * kw, step)
    name = op.kind
    if op.kind == "resize":
        name = f"resize-{next(m for m, number in RESIZE_MODES.items() if number == a['mode'])}"
    return plain_work(name, math.prod(output.dims))


def conv_sizes(model: Model, op: Op) -> Conv:
    """The sizes of a file's convolution."""
    a, source, output = op.attributes, model.tensors[op.inputs[0]].dims, model.tensors[op.output].dims
    _, channels, height, width = (*output, 1, 1)[:4]
    pads = any(a[f"pad_{side}"] for side in ("top", "left", "bottom", "right"))
    taps = int(a["kernel_h"] * a["kernel_w"])
    packed = taps > 1 or pads or (a["stride_h"], a["stride_w"]) != (1, 1)
    return Conv(source[1], channels, taps, height, width, packed)


def _file_conv_work(model: Model, op: Op, step: int, wide: bool) -> list[Work]:
    conv, a = conv_sizes(model, op), op.attributes
    if a["encoding"] == ENCODINGS["dense"]:
        return conv_work(conv, "dense", 0, step)
    rows, kept = int(a["block_rows"]), len(op.data["weights"])
    if wide and rows == QUAD and kept_in_pairs(op):
        return conv_work(conv, WIDE_BLOCK, kept // 2, step)
    return conv_work(conv, f"{rows}x{QUAD}", kept, step)


def kept_in_pairs(op: Op) -> bool:
    """Whether the kept blocks of a sparse convolution all come in pairs (k even, k + 1): blocks of twice the width."""
    mask = op.data["mask"]  # [rows][ceil(K4/8)] u8
    return not ((mask ^ (mask >> 1)) & 0x55).any()
