"""Cases of the families that slide a window: PACK, DEPTHWISE, AVG_POOL, MAX_POOL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import kernel_build
import numpy as np
from gemm_cases import draw_bias, draw_blocks
from kernel_bench import LINE, U8, Buffer, Case, Kernel, ceil_to, plane_bytes
from kernel_values import I64, draw_activations, draw_requant, draw_scales, draw_zero_point, requantize

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Sizes as (height, width) pairs."""

    image: Pair
    kernel: Pair
    stride: Pair
    dilation: Pair
    pad_begin: Pair
    pad_end: Pair

    @property
    def output(self) -> Pair:
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        sizes = [
            (self.image[i] + self.pad_begin[i] + self.pad_end[i] - reach[i]) // self.stride[i] + 1
            for i in (0, 1)
        ]
        return sizes[0], sizes[1]

    def taps(self) -> Iterator[tuple[int, Any, Any, Any]]:
        """Per tap, in order: its number, rows [OH,1], columns [1,OW] of the image and whether inside [OH,OW]."""
        height, width = self.output
        for ky in range(self.kernel[0]):
            for kx in range(self.kernel[1]):
                y = np.arange(height)[:, None] * self.stride[0] - self.pad_begin[0] + ky * self.dilation[0]
                x = np.arange(width)[None, :] * self.stride[1] - self.pad_begin[1] + kx * self.dilation[1]
                inside = (y >= 0) & (y < self.image[0]) & (x >= 0) & (x < self.image[1])
                yield (
                    ky * self.kernel[1] + kx,
                    np.clip(y, 0, self.image[0] - 1),
                    np.clip(x, 0, self.image[1] - 1),
                    inside,
                )

    def fields(self, dilation: bool) -> dict[str, int]:
        """The members that the argument structs share."""
        names = {"kernel": self.kernel, "stride": self.stride} | (
            {"dilation": self.dilation} if dilation else {}
        )
        result = {f"{name}_{axis}": pair[i] for name, pair in names.items() for i, axis in enumerate("hw")}
        result |= {"height": self.image[0], "width": self.image[1]}
        return result | {"pad_top": self.pad_begin[0], "pad_left": self.pad_begin[1]}


def pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def draw_window(
    rng: np.random.Generator, kernel: Kernel, image: Any, window: Any, stride: Any, dilation: Any, pad: Any
) -> Window:
    """What is None is drawn within what the kernel takes; an image too small for the window grows."""
    size = pair(kernel.kernel or window or rng.choice([1, 2, 3, 3, 5, 7], 2))
    step = pair(kernel.stride or stride or rng.choice([1, 1, 2, 3], 2))
    spread = (1, 1) if kernel.kernel else pair(dilation or rng.choice([1, 1, 2, 3], 2))
    reach = [d * (k - 1) + 1 for d, k in zip(spread, size, strict=True)]
    # A pool's window always meets the image; a convolution's may lie outside.
    most = [r - 1 if "POOL" in kernel.family else r + 2 for r in reach]
    if pad is None:
        usual = most if rng.random() < 0.2 else [r - 1 for r in reach]
        before = pair([rng.integers(0, m + 1) for m in usual])
        after = pair([rng.integers(0, m + 1) for m in usual])
    else:
        before = after = pair([min(pad, m) for m in most])
    shape = pair(image or rng.integers(1, 24, 2))
    shape = pair([max(shape[i], reach[i] - before[i] - after[i]) for i in (0, 1)])
    return Window(shape, size, step, spread, before, after)


def draw_rows(rng: np.random.Generator, height: int) -> Pair:
    """A thread's rows: all, or a part."""
    if rng.random() < 0.4:
        return 0, height
    begin = int(rng.integers(0, height))
    return begin, int(rng.integers(begin + 1, height + 1))


def plane_buffer(rng: np.random.Generator, shape: Pair, mode: str) -> tuple[Buffer, I64]:
    """A plane of quads with u7 in its padding, and its pixels [H][W][4] int64."""
    pixels = shape[0] * shape[1]
    data = draw_activations(rng, plane_bytes(pixels), mode)
    return Buffer(data.size, data), data[: pixels * 4].reshape(*shape, 4).astype(np.int64)


def output_plane(shape: Pair, rows: Pair) -> Buffer:
    """Rows [begin, end) exact; the plane's padding may be written by whoever writes its last row."""
    pixels, row_bytes = shape[0] * shape[1], shape[1] * 4
    buffer = Buffer(plane_bytes(pixels))
    buffer.exact[rows[0] * row_bytes : rows[1] * row_bytes] = True
    if rows[1] == shape[0]:
        buffer.loose[pixels * 4 :] = True
    return buffer


def full_plane(buffer: Buffer, values: U8) -> dict[str, U8]:
    """The oracle's answer [OH][OW][4] in the plane's bytes."""
    full = np.zeros(buffer.size, np.uint8)
    full[: values.size] = values.reshape(-1)
    return {"output": full}


def make_pack(
    rng: np.random.Generator,
    kernel: Kernel,
    *,
    image: Any = None,
    window: Any = None,
    stride: Any = None,
    dilation: Any = None,
    pad: int | None = None,
    pixels: int | None = None,
) -> Case:
    """One tile of im2col, at any multiple of 16 pixels into the output."""
    shape = draw_window(rng, kernel, image, window, stride, dilation, pad)
    c4, zero_point = int(rng.integers(1, 5)), draw_zero_point(rng)
    stride_in = plane_bytes(shape.image[0] * shape.image[1])
    data = draw_activations(rng, c4 * stride_in)
    planes = np.stack([data[c * stride_in :][: shape.image[0] * shape.image[1] * 4] for c in range(c4)])
    planes = planes.reshape(c4, *shape.image, 4)
    total = shape.output[0] * shape.output[1]
    first = 16 * int(rng.integers(0, -(-total // 16)))
    pixels = min(pixels or int(rng.choice([16, 32, 48, 64])), total - first)
    stride_out = 4 if total == 1 else ceil_to(pixels * 4, LINE) + LINE * int(rng.integers(0, 2))
    lines = shape.kernel[0] * shape.kernel[1] * c4
    tile = Buffer(lines * stride_out)
    for line in range(lines):
        tile.loose[line * stride_out : (line + 1) * stride_out] = True
        tile.exact[line * stride_out : line * stride_out + pixels * 4] = True

    def oracle() -> dict[str, U8]:
        full = np.zeros((lines, stride_out), np.uint8)
        for tap, y, x, inside in shape.taps():
            for c in range(c4):
                values = np.where(inside[..., None], planes[c][y, x], zero_point).reshape(-1, 4)
                full[tap * c4 + c, : pixels * 4] = values[first : first + pixels].reshape(-1)
        return {"tile": full.reshape(-1)}

    buffers = {"input": Buffer(data.size, data), "tile": tile}
    fields = shape.fields(dilation=True) | {
        "input": buffers["input"].pointer("uint8_t"),
        "input_stride": stride_in,
        "c4": c4,
        "output_width": shape.output[1],
        "pixel_begin": first,
        "pixels": pixels,
        "zero_point": zero_point,
        "tile": tile.pointer("uint8_t"),
        "tile_stride": stride_out,
    }
    parameters = {"window": shape, "c4": c4, "pixels": (first, pixels), "tile_stride": stride_out}
    return Case(kernel_build.ffi().new("lw_pack_args *", fields), buffers, parameters, oracle)


def make_depthwise(
    rng: np.random.Generator,
    kernel: Kernel,
    *,
    image: Any = None,
    window: Any = None,
    stride: Any = None,
    dilation: Any = None,
    pad: int | None = None,
    weights: str = "any",
    activations: str = "any",
    scale: str = "typical",
    extreme_bias: bool = False,
) -> Case:
    """Some rows of one plane."""
    shape = draw_window(rng, kernel, image, window, stride, dilation, pad)
    source, x = plane_buffer(rng, shape.image, activations)
    taps = shape.kernel[0] * shape.kernel[1]
    w = draw_blocks(rng, (taps, 1, 4), weights).reshape(taps, 4)
    by_channel = w.astype(np.int64).T
    bias = draw_bias(rng, by_channel, extreme_bias)
    bound = np.abs(bias) + 127 * np.abs(by_channel).sum(axis=1)
    scales = draw_scales(rng, bound, np.sqrt((by_channel**2).sum(axis=1)) * 64 + np.abs(bias), scale)
    requant, zero_point, rows = draw_requant(rng), draw_zero_point(rng), draw_rows(rng, shape.output[0])
    output = output_plane(shape.output, rows)

    def oracle() -> dict[str, U8]:
        acc = np.broadcast_to(bias, (*shape.output, 4)).copy()
        for tap, y, col, inside in shape.taps():
            acc += np.where(inside[..., None], x[y, col], zero_point) * by_channel[:, tap]
        return full_plane(output, requantize(acc, scales, requant))

    scratch_bytes = (shape.image[1] + 2 * shape.kernel[1] + 64) * 64  # LW_DEPTHWISE_SCRATCH
    buffers = {
        "input": source,
        "weights": Buffer(w.nbytes, w),
        "bias": Buffer(16, bias.astype(np.int32)),
        "scale": Buffer(16, scales),
        "output": output,
        "scratch": Buffer(scratch_bytes),
    }
    buffers["scratch"].free = True
    fields = shape.fields(dilation=True) | {
        "input": source.pointer("uint8_t"),
        "output_height": shape.output[0],
        "output_width": shape.output[1],
        "weights": buffers["weights"].pointer("int8_t"),
        "bias": buffers["bias"].pointer("int32_t"),
        "scale": buffers["scale"].pointer("float"),
        "requant": requant,
        "zero_point": zero_point,
        "row_begin": rows[0],
        "row_end": rows[1],
        "output": output.pointer("uint8_t", rows[0] * shape.output[1] * 4),
        "scratch": buffers["scratch"].pointer("uint8_t"),
        "scratch_bytes": scratch_bytes,
    }
    parameters = {"window": shape, "rows": rows, "requant": requant, "zero_point": zero_point}
    return Case(kernel_build.ffi().new("lw_depthwise_args *", fields), buffers, parameters, oracle)


def make_pool(
    rng: np.random.Generator,
    kernel: Kernel,
    *,
    image: Any = None,
    window: Any = None,
    stride: Any = None,
    pad: int | None = None,
    activations: str = "any",
    scale: str = "typical",
) -> Case:
    """Some rows of one plane, average or maximum. `window` "global" covers the whole image."""
    image = pair(image or rng.integers(1, 24, 2))
    if window == "global":
        window, stride, pad = image, 1, 0
    shape = draw_window(rng, kernel, image, window, stride, 1, pad)
    source, x = plane_buffer(rng, shape.image, activations)
    taps = shape.kernel[0] * shape.kernel[1]
    requant, zero_point, rows = draw_requant(rng), draw_zero_point(rng), draw_rows(rng, shape.output[0])
    padded = any(shape.pad_begin) or any(shape.pad_end)
    many = taps if padded and rng.random() < 0.7 else 1  # one multiplier with padding: padding is counted
    typical = np.arange(1, taps + 1)[-many:] * 30
    multipliers = draw_scales(rng, np.full(many, 127 * taps), typical, scale)
    output = output_plane(shape.output, rows)

    def oracle() -> dict[str, U8]:
        count = np.zeros(shape.output, np.int64)
        total = np.zeros((*shape.output, 4), np.int64)
        most = np.zeros((*shape.output, 4), np.int64)
        for _, y, col, inside in shape.taps():
            count += inside
            total += np.where(inside[..., None], x[y, col] - zero_point, 0)
            most = np.maximum(most, np.where(inside[..., None], x[y, col], 0))
        if kernel.family == "MAX_POOL":
            return full_plane(output, most.astype(np.uint8))
        multiplier = multipliers[0] if many == 1 else multipliers[count - 1][..., None]
        return full_plane(output, requantize(total, multiplier, requant))

    buffers = {"input": source, "multipliers": Buffer(many * 4, multipliers), "output": output}
    fields = shape.fields(dilation=False) | {
        "input": source.pointer("uint8_t"),
        "output_height": shape.output[0],
        "output_width": shape.output[1],
        "zero_point": zero_point,
        "multipliers": buffers["multipliers"].pointer("float"),
        "multiplier_count": many,
        "requant": requant,
        "row_begin": rows[0],
        "row_end": rows[1],
        "output": output.pointer("uint8_t"),
    }
    parameters = {
        "window": shape,
        "rows": rows,
        "requant": requant,
        "multipliers": many,
        "zero_point": zero_point,
    }
    return Case(kernel_build.ffi().new("lw_pool_args *", fields), buffers, parameters, oracle)
