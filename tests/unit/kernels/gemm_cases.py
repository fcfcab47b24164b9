"""Cases of families GEMM and GEMV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import kernel_build
import numpy as np
from kernel_bench import Buffer, Case, Kernel, ceil_to
from kernel_values import F32, I64, draw_activations, draw_requant, draw_scales, requantize
from numpy.typing import NDArray

I8 = NDArray[np.int8]
SAFE_SUM = 258  # 127 * 258 < 2^15: the largest sum of weights of one sign that an int16 lane can take


@dataclass
class Weights:
    """One operator's weights as the kernels want them."""

    mask: NDArray[np.bool_]  # [rows][k4]
    blocks: I8  # [kept][R][4]
    row_start: NDArray[np.uint32]  # [rows+1]
    index: NDArray[np.uint16]  # [kept]

    def dense(self, channels: int) -> I64:
        """[channels][k4*4] int64"""
        rows, k4 = self.mask.shape
        block_rows = self.blocks.shape[1]
        full = np.zeros((rows, k4, block_rows, 4), np.int64)
        full[self.mask] = self.blocks
        return full.transpose(0, 2, 1, 3).reshape(rows * block_rows, k4 * 4)[:channels]

    def pairing(self) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """[kept] u16 and [rows] u16: ``order`` and ``pairs`` of lw_gemm_args."""
        order = np.zeros(len(self.blocks), np.uint16)
        pairs = np.zeros(len(self.row_start) - 1, np.uint16)
        for row, (first, end) in enumerate(zip(self.row_start[:-1], self.row_start[1:], strict=True)):
            together, alone = pair_neighbours(self.blocks[first:end])
            pairs[row] = len(together)
            order[first : first + len(together)] = together
            order[end - len(alone) : end] = alone
        return order, pairs


def pair_neighbours(blocks: I8) -> tuple[list[int], list[int]]:
    """First blocks of the pairs that add up in int16, and the blocks in no pair; ``blocks`` is [n][R][4]."""
    lanes = blocks.astype(np.int64).reshape(len(blocks), blocks.shape[1] * 2, 2)
    two = np.concatenate([lanes[:-1], lanes[1:]], axis=2)
    largest = np.maximum(np.maximum(two, 0).sum(axis=2), np.maximum(-two, 0).sum(axis=2)).max(
        axis=1, initial=0
    )
    together, alone, b = [], [], 0
    while b < len(blocks):
        if b + 1 < len(blocks) and largest[b] <= SAFE_SUM:
            together.append(b)
            b += 2
        else:
            alone.append(b)
            b += 1
    return together, alone


def draw_blocks(rng: np.random.Generator, shape: tuple[int, int, int], mode: str) -> I8:
    """[kept][R][4] int8.

    ``any``; ``small`` (pairs are safe); ``full`` and ``minus`` (all 127, all -127); ``edges`` (each 127 or -127);
    ``pair_edge``: lanes of two blocks sum to 258 or, in a few places, 259; ``zero``.
    """
    if mode == "small":
        return rng.integers(-64, 65, shape).astype(np.int8)
    if mode == "edges":
        return rng.choice(np.array([-127, 127], np.int8), shape)
    if mode == "pair_edge":
        half = np.where(np.arange(shape[0]) % 2 == 0, 127, 2)[:, None, None]
        blocks = np.broadcast_to(half, shape).copy()  # 127 + 127 + 2 + 2 = 258
        blocks += rng.random(shape) < 0.02
        blocks = np.minimum(blocks, 127) * rng.choice([-1, 1])
        return np.asarray(blocks, np.int8)
    if mode in ("full", "minus", "zero"):
        return np.full(shape, {"full": 127, "minus": -127, "zero": 0}[mode], np.int8)
    return rng.integers(-127, 128, shape).astype(np.int8)


def draw_weights(
    rng: np.random.Generator,
    channels: int,
    k4: int,
    block_rows: int,
    density: float | None,
    mode: str,
    pairs: bool,
) -> Weights:
    """density None = dense; otherwise the share of blocks kept, with some rows emptied; ``pairs``: k and k + 1, k even."""
    rows = -(-channels // block_rows)
    mask = np.ones((rows, k4), bool)
    if density is not None:
        mask = rng.random((rows, k4)) < density
        if pairs:
            mask = np.repeat(mask[:, : k4 // 2], 2, axis=1)
            mask = np.pad(mask, ((0, 0), (0, k4 % 2)))
        mask[rng.random(rows) < 0.15] = False
    row_start = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.uint32)
    blocks = draw_blocks(rng, (int(mask.sum()), block_rows, 4), mode)
    row_of_block = np.nonzero(mask)[0]
    if density is not None:
        blocks[~blocks.any(axis=(1, 2)), 0, 0] = 1  # a kept block is never all zero
    channel = row_of_block[:, None] * block_rows + np.arange(block_rows)  # [kept][R]
    blocks[channel >= channels] = 0
    if density is None and rng.random() < 0.3:
        blocks[row_of_block == rng.integers(rows)] = 0
    return Weights(mask, blocks, row_start, np.nonzero(mask)[1].astype(np.uint16))


def draw_bias(rng: np.random.Generator, weights: I64, extreme: bool) -> I64:
    """[channels] int64, |bias| + 127 * sum|w| < 2^31."""
    room = 2**31 - 1 - 127 * np.abs(weights).sum(axis=1)
    if extreme:
        return np.asarray(room * rng.choice([-1, 1], len(room)))
    return rng.integers(-50000, 50001, len(room)).clip(-room, room)


def quad_range(rng: np.random.Generator, channels: int, block_rows: int) -> tuple[int, int]:
    """A thread's share of the output quads: all of them, or a part that begins and ends on whole rows of blocks."""
    quads, step = -(-channels // 4), max(block_rows, 4) // 4
    bounds = [*range(0, quads, step), quads]
    if rng.random() < 0.4:
        return 0, quads
    first, last = sorted(int(v) for v in rng.choice(len(bounds), 2, replace=False))
    return bounds[first], bounds[last]


def make_gemm(
    rng: np.random.Generator,
    kernel: Kernel,
    *,
    pixels: int | None = None,
    channels: int | None = None,
    k4: int | None = None,
    block_rows: int | None = None,
    density: float | None | str = "draw",
    weights: str = "any",
    activations: str = "any",
    scale: str = "typical",
    extreme_bias: bool = False,
    as_f32: bool | None = None,
) -> Case:
    """One tile (GEMM) or one pixel (GEMV); what is not given is drawn within what the kernel takes."""
    block_rows = kernel.block_rows or block_rows or int(rng.choice([1, 2, 4, 8]))
    channels = channels or int(rng.integers(1, 41))
    k4 = k4 or int(rng.choice([1, 2, 3, int(rng.integers(1, 40))]))
    pixels = 1 if kernel.family == "GEMV" else pixels or int(rng.integers(1, kernel.tile + 1))
    if density == "draw":
        density = None if rng.random() < 0.4 else float(rng.choice([0.05, 0.3, 0.5, 0.9, 1.0]))
    if kernel.sparse:
        density = None if kernel.sparse < 0 else 0.5 if density is None else density
    assert density is None or isinstance(density, float)
    as_f32 = rng.random() < 0.3 if as_f32 is None else as_f32
    w = draw_weights(rng, channels, k4, block_rows, density, weights, pairs=kernel.sparse == 2)
    dense = w.dense(channels)
    bias = draw_bias(rng, dense, extreme_bias)
    bound = np.abs(bias) + 127 * np.abs(dense).sum(axis=1)
    scales = draw_scales(rng, bound, np.sqrt((dense**2).sum(axis=1)) * 64 + np.abs(bias), scale)
    requant = draw_requant(rng)

    width = 4 if kernel.family == "GEMV" else ceil_to(pixels, 16) * 4  # readable bytes of a line
    stride = width if kernel.family == "GEMV" else width + 64 * int(rng.integers(0, 3))
    tile = draw_activations(rng, (k4 - 1) * stride + width, activations)
    lines = np.stack([tile[k * stride : k * stride + pixels * 4] for k in range(k4)])
    x = lines.reshape(k4, pixels, 4).transpose(0, 2, 1).reshape(k4 * 4, pixels).astype(np.int64)

    begin, end = quad_range(rng, channels, block_rows)
    out_stride = 4 if kernel.family == "GEMV" else width + 64 * int(rng.integers(0, 3))
    f32_stride = pixels + (0 if kernel.family == "GEMV" else int(rng.integers(0, 5)))
    quads = -(-channels // 4)
    output = Buffer(channels * f32_stride * 4 if as_f32 else (quads - 1) * out_stride + width)
    mark_output(output, as_f32, channels, pixels, begin, end, f32_stride if as_f32 else out_stride, width)

    def oracle() -> dict[str, Any]:
        acc = dense @ x + bias[:, None]
        full = np.zeros(output.size, np.uint8)
        for c in range(channels):
            if as_f32:
                real: F32 = acc[c].astype(np.float32) * scales[c]
                full[c * f32_stride * 4 :][: pixels * 4] = real.view(np.uint8)
            else:
                full[c // 4 * out_stride + c % 4 :][: pixels * 4 : 4] = requantize(acc[c], scales[c], requant)
        return {"output": full}

    def per_row(values: NDArray[Any], dtype: Any) -> Buffer:
        padded = np.zeros(len(w.mask) * block_rows, dtype)
        padded[:channels] = values
        return Buffer(padded.nbytes, padded)

    wants_pairs = kernel.family == "GEMM" and kernel.tier in ("AVX2", "RELAXED")
    order, pairs = w.pairing() if wants_pairs else (np.zeros(0, np.uint16), np.zeros(0, np.uint16))
    buffers = {
        "tile": Buffer(tile.size, tile),
        "weights": Buffer(w.blocks.nbytes, w.blocks),
        "index": Buffer(w.index.nbytes, w.index),
        "row_start": Buffer(w.row_start.nbytes, w.row_start),
        "order": Buffer(order.nbytes, order),
        "pairs": Buffer(pairs.nbytes, pairs),
        "bias": per_row(bias, np.int32),
        "scale": per_row(scales, np.float32),
        "output": output,
    }
    ffi = kernel_build.ffi()
    arguments = ffi.new(
        "lw_gemm_args *",
        {
            "tile": buffers["tile"].pointer("uint8_t"),
            "tile_stride": stride,
            "pixels": pixels,
            "k4": k4,
            "weights": buffers["weights"].pointer("int8_t"),
            "index": ffi.NULL if density is None else buffers["index"].pointer("uint16_t"),
            "row_start": buffers["row_start"].pointer("uint32_t"),
            "order": buffers["order"].pointer("uint16_t") if wants_pairs else ffi.NULL,
            "pairs": buffers["pairs"].pointer("uint16_t") if wants_pairs else ffi.NULL,
            "bias": buffers["bias"].pointer("int32_t"),
            "scale": buffers["scale"].pointer("float"),
            "requant": requant,
            "block_rows": block_rows,
            "channels": channels,
            "quad_begin": begin,
            "quad_end": end,
            "output": ffi.NULL if as_f32 else output.pointer("uint8_t"),
            "output_stride": 0 if as_f32 else out_stride,
            "output_f32": output.pointer("float") if as_f32 else ffi.NULL,
            "output_f32_stride": f32_stride if as_f32 else 0,
        },
    )
    parameters = {
        "block_rows": block_rows,
        "channels": channels,
        "k4": k4,
        "pixels": pixels,
        "density": density,
        "quads": (begin, end),
        "tile_stride": stride,
        "output_stride": f32_stride if as_f32 else out_stride,
        "f32": as_f32,
        "requant": requant,
    }
    return Case(arguments, buffers, parameters, oracle)


def mark_output(
    output: Buffer, as_f32: bool, channels: int, pixels: int, begin: int, end: int, stride: int, width: int
) -> None:
    """f32: exactly the pixels of each channel. u7: also padding channels and, up to `width` bytes, padding pixels."""
    if as_f32:
        for c in range(begin * 4, min(end * 4, channels)):
            output.exact[c * stride * 4 :][: pixels * 4] = True
        return
    for quad in range(begin, end):
        output.loose[quad * stride :][:width] = True
    for c in range(begin * 4, min(end * 4, channels)):
        at = slice(c // 4 * stride + c % 4, c // 4 * stride + pixels * 4, 4)
        output.exact[at] = True
        output.loose[at] = False
