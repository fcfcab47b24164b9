"""Models that cover every operator and attribute combination, by name; and random chains of operators.

Sizes sit around what kernels branch on: channels around multiples of 4 and 8, pixels around multiples of 16 and 64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from lacewing.format import Model
from tests.models import NO_PADS, Builder, Pads

SAME: Pads = (1, 1, 1, 1)
Case = Callable[[], Model]


def _conv_cases() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for r in (1, 2, 4, 8):
        for density in (1.0, 0.6, 0.15):
            kind = "dense" if density == 1 else f"sparse{density}"
            cases[f"conv_1x1_{r}x4_{kind}"] = _conv(r, density, 13, 7, 9, 18)
            cases[f"conv_3x3_{r}x4_{kind}"] = _conv(r, density, 6, 9, 7, 10, kernel=(3, 3), pads=SAME)
            cases[f"conv_point_{r}x4_{kind}"] = _conv(r, density, 37, 1, 1, 21)
            cases[f"conv_f32_{r}x4_{kind}"] = _conv(r, density, 10, 5, 5, 11, head="f32")
            cases[f"conv_flat_{r}x4_{kind}"] = _conv(r, density, 26, 1, 1, 13, head="f32_flat")
            cases[f"conv_big_{r}x4_{kind}"] = _conv(r, density, 32, 12, 11, 32)
    for stride, dilation, pads in (
        ((2, 2), (1, 1), (0, 0, 1, 1)),
        ((1, 2), (1, 1), (1, 0, 0, 1)),
        ((3, 1), (2, 1), (2, 1, 2, 1)),
        ((1, 1), (2, 3), (2, 3, 2, 3)),
        ((2, 1), (1, 2), NO_PADS),
    ):
        name = "conv_s{}{}_d{}{}_p{}{}{}{}".format(*stride, *dilation, *pads)
        more = {"stride": stride, "dilation": dilation, "pads": pads}
        cases[f"{name}_dense"] = _conv(4, 1.0, 3, 17, 19, 8, kernel=(3, 3), **more)
        cases[f"{name}_sparse"] = _conv(2, 0.4, 8, 11, 13, 9, kernel=(3, 3), **more)
    for kernel, pads in (
        ((1, 3), (0, 1, 0, 1)),
        ((5, 1), (2, 0, 2, 0)),
        ((2, 2), NO_PADS),
        ((7, 7), (3, 3, 3, 3)),
    ):
        cases["conv_{}x{}".format(*kernel)] = _conv(4, 0.5, 5, 12, 14, 6, kernel=kernel, pads=pads)
    cases["conv_stem"] = _conv(4, 1.0, 3, 33, 31, 16, kernel=(3, 3), stride=(2, 2), pads=SAME)
    cases["conv_1x1_strided"] = _conv(4, 0.5, 12, 9, 8, 12, stride=(2, 2))
    cases["conv_one_channel"] = _conv(1, 1.0, 1, 4, 4, 1)
    cases["conv_long_k"] = _conv(2, 0.3, 300, 4, 5, 20)
    cases["conv_extreme"] = _extreme
    cases["conv_empty_row"] = lambda: _emptied(4)
    cases["conv_all_empty"] = lambda: _emptied(1)
    cases["conv_1x1_4x8"] = lambda: _paired(4, 40, (1, 1))
    cases["conv_3x3_8x8"] = lambda: _paired(8, 24, (3, 3))
    return cases


def _conv(r: int, density: float, c: int, h: int, w: int, o: int, **more: object) -> Case:
    def build() -> Model:
        b = Builder(r * 1000 + c + h + o + int(density * 100))
        b.conv(b.image(c, h, w), o, block_rows=r, density=density, **more)  # type: ignore[arg-type]
        return b.finish()

    return build


def _extreme() -> Model:
    """Weights of +-127 only, against u7 inputs of 0 and 127: the largest int16 pair sums and float32 rounding."""
    b = Builder(5)
    x = b.layout(b.input((1, 64, 5, 5), "u7"))
    b.conv(x, 16, kernel=(3, 3), pads=SAME, head="f32")
    for op in b.model.ops[1:]:
        op.data["weights"] = np.where(op.data["weights"] < 0, -127, 127).astype(np.int8)
        op.data["bias"] = (op.data["bias"].astype(np.int64) + (1 << 30)).astype(np.int32)
    b.conv(x, 16, kernel=(3, 3), block_rows=2, density=0.7)
    return b.finish()


def _emptied(rows_kept: int) -> Model:
    """A bitmask in which whole rows of blocks are dropped; with ``rows_kept`` 1, all but the first."""
    b = Builder(rows_kept)
    b.conv(b.image(8, 6, 6), 24, block_rows=4, density=0.5)
    op = b.model.ops[1]
    per_row = np.unpackbits(op.data["mask"], axis=1).sum(axis=1)
    mask = op.data["mask"].copy()
    mask[rows_kept:] = 0
    op.data["mask"], op.data["weights"] = mask, op.data["weights"][: per_row[:rows_kept].sum()]
    return b.finish()


def _paired(r: int, c: int, kernel: tuple[int, int]) -> Model:
    """Kept blocks in pairs (k even, k + 1): what a kernel for blocks twice as wide may take."""
    b = Builder(r + c)
    b.conv(b.image(c, 7, 11), 21, kernel, block_rows=r, density=0.5)
    op = b.model.ops[1]
    mask = op.data["mask"] & 0x55
    op.data["mask"] = mask | (mask << 1)
    kept = int(np.unpackbits(op.data["mask"]).sum())
    op.data["weights"] = np.resize(op.data["weights"], (kept, r, 4))
    in_last_row = int(np.unpackbits(op.data["mask"][-1]).sum())
    op.data["weights"][kept - in_last_row :, 21 % r :] = 0  # rows that pad the last block
    return b.finish()


def _depthwise_cases() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for kernel, stride, dilation, pads, c in (
        ((3, 3), (1, 1), (1, 1), SAME, 8),
        ((3, 3), (2, 2), (1, 1), SAME, 9),
        ((3, 3), (2, 2), (1, 1), (0, 0, 1, 1), 12),
        ((3, 3), (1, 1), (1, 1), NO_PADS, 3),
        ((3, 3), (2, 1), (1, 1), (1, 0, 1, 2), 7),
        ((5, 5), (1, 1), (1, 1), (2, 2, 2, 2), 6),
        ((5, 5), (2, 2), (1, 1), (1, 1, 2, 2), 5),
        ((3, 3), (1, 1), (2, 2), (2, 2, 2, 2), 4),
        ((1, 5), (1, 1), (1, 1), (0, 2, 0, 2), 10),
        ((7, 3), (3, 2), (1, 2), (3, 2, 3, 2), 11),
        ((1, 1), (1, 1), (1, 1), NO_PADS, 5),
    ):
        name = "depthwise_{}x{}_s{}{}_d{}{}_p{}{}{}{}".format(*kernel, *stride, *dilation, *pads)
        for h, w in ((9, 21), (18, 17)):
            cases[f"{name}_{h}x{w}"] = _depthwise(c, h, w, kernel, stride, dilation, pads)
    cases["depthwise_point"] = _depthwise(6, 1, 1, (3, 3), (1, 1), (1, 1), SAME)
    cases["depthwise_column"] = _depthwise(4, 40, 1, (3, 3), (1, 1), (1, 1), SAME)
    cases["depthwise_row"] = _depthwise(4, 1, 70, (3, 3), (1, 1), (1, 1), SAME)
    return cases


def _depthwise(c: int, h: int, w: int, *window: object) -> Case:
    def build() -> Model:
        b = Builder(c * h + w)
        b.depthwise(b.image(c, h, w), *window)  # type: ignore[arg-type]
        return b.finish()

    return build


def _pool_cases() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    windows: list[tuple[tuple[int, int], tuple[int, int], Pads]] = [
        ((2, 2), (2, 2), NO_PADS),
        ((3, 3), (2, 2), SAME),
        ((3, 3), (1, 1), SAME),
        ((3, 3), (2, 2), (0, 0, 1, 1)),
        ((2, 3), (1, 2), (1, 0, 0, 2)),
        ((5, 1), (3, 1), (2, 0, 2, 0)),
    ]
    for kernel, stride, pads in windows:
        name = "{}x{}_s{}{}_p{}{}{}{}".format(*kernel, *stride, *pads)
        cases[f"max_pool_{name}"] = _pool("max", 6, 13, 18, kernel, stride, pads)
        for include_pad in (0, 1) if any(pads) else (0,):
            cases[f"avg_pool_{name}_{include_pad}"] = _pool(
                "avg", 7, 13, 18, kernel, stride, pads, include_pad
            )
    cases["global_pool"] = _pool("avg", 10, 7, 7, (7, 7), (1, 1), NO_PADS, 0)
    cases["global_pool_wide"] = _pool("avg", 4, 3, 45, (3, 45), (1, 1), NO_PADS, 0)
    cases["global_max_pool"] = _pool("max", 5, 6, 9, (6, 9), (1, 1), NO_PADS)
    for c in (4, 5, 7, 10):
        cases[f"avg_pool_f32_{c}"] = _pool("avg", c, 9, 11, (3, 2), (2, 1), NO_PADS, 0, "f32")
        cases[f"avg_pool_flat_{c}"] = _pool("avg", c, 6, 5, (6, 5), (1, 1), NO_PADS, 0, "f32_flat")
    for include_pad in (0, 1):
        cases[f"avg_pool_f32_padded_{include_pad}"] = _pool(
            "avg", 6, 13, 18, (3, 3), (2, 2), SAME, include_pad, "f32"
        )
    return cases


def _pool(kind: str, c: int, h: int, w: int, *window: object) -> Case:
    def build() -> Model:
        b = Builder(c + h * w)
        getattr(b, f"{kind}_pool")(b.image(c, h, w), *window)
        return b.finish()

    return build


def _moving_cases() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for mode in ("nearest", "bilinear"):
        for (h, w), size in (
            ((5, 7), (10, 14)),
            ((9, 16), (4, 31)),
            ((3, 3), (3, 3)),
            ((1, 6), (5, 1)),
            ((1, 1), (4, 4)),
        ):
            cases[f"resize_{mode}_{h}x{w}_{size[0]}x{size[1]}"] = _resize(h, w, size, mode)
    for sizes in ((4, 8), (3, 5), (4, 3, 2), (1, 1, 1, 1, 1, 1, 1, 1)):
        cases["concat_quads_" + "_".join(map(str, sizes))] = _concat_quads(sizes)
    for rank, axis in ((1, 0), (2, 1), (2, 0), (3, 1), (4, 0), (4, 1), (4, 2), (4, 3)):
        for dtype in ("u7", "f32"):
            cases[f"concat_plain_{dtype}_{rank}_{axis}"] = _concat_plain(dtype, rank, axis)
    for pads in ((1, 2, 3, 4), (0, 0, 1, 1), (2, 0, 0, 0)):
        cases["pad_{}{}{}{}".format(*pads)] = _pad(pads)
    for perm in ((1, 0), (0, 1), (2, 0, 1), (0, 2, 3, 1), (0, 3, 1, 2), (3, 2, 1, 0)):
        for dtype in ("u7", "f32"):
            cases[f"transpose_{dtype}_" + "".join(map(str, perm))] = _transpose(dtype, perm)
    for dtype in ("u7", "f32"):
        cases[f"reshape_{dtype}"] = _reshape(dtype)
    cases["layout_both"] = _layouts
    return cases


def _resize(h: int, w: int, size: tuple[int, int], mode: str) -> Case:
    def build() -> Model:
        b = Builder(h * w)
        b.resize(b.image(6, h, w), size, mode)
        return b.finish()

    return build


def _concat_quads(sizes: tuple[int, ...]) -> Case:
    def build() -> Model:
        b = Builder(len(sizes))
        first = b.input((1, sizes[0], 5, 6), "u7")
        rest = [b.input((1, c, 5, 6), "u7", like=first) for c in sizes[1:]]
        b.concat([b.layout(x) for x in (first, *rest)], 1)
        return b.finish()

    return build


def _concat_plain(dtype: str, rank: int, axis: int) -> Case:
    def build() -> Model:
        b = Builder(rank)
        dims = [3, 4, 5, 2][:rank]
        first = b.input(tuple(dims), dtype)
        dims[axis] = 7
        b.concat([first, b.input(tuple(dims), dtype, like=first), first], axis)
        return b.finish()

    return build


def _pad(pads: Pads) -> Case:
    def build() -> Model:
        b = Builder(sum(pads))
        b.pad(b.image(5, 6, 7), pads)
        return b.finish()

    return build


def _transpose(dtype: str, perm: tuple[int, ...]) -> Case:
    def build() -> Model:
        b = Builder(len(perm))
        b.transpose(b.input((2, 3, 4, 5)[: len(perm)], dtype), perm)
        return b.finish()

    return build


def _reshape(dtype: str) -> Case:
    def build() -> Model:
        b = Builder(1)
        b.reshape(b.input((1, 6, 4, 5), dtype), (6, 20))
        b.reshape(b.model.inputs[0], (120,))
        return b.finish()

    return build


def _layouts() -> Model:
    b = Builder(2)
    for c, h, w in ((5, 4, 9), (8, 1, 1), (3, 1, 1), (4, 16, 4), (1, 5, 5)):
        b.layout(b.layout(b.input((1, c, h, w), "u7")))
    return b.finish()


def _elementwise_cases() -> dict[str, Case]:
    cases: dict[str, Case] = {
        "quantize_dequantize": _conversions,
        "softmax": _softmaxes,
        "table_plain": _plain_table,
    }
    for c, h, w in ((5, 4, 9), (8, 1, 1), (3, 17, 5), (16, 8, 8)):
        cases[f"add_quads_{c}x{h}x{w}"] = _binary("add", c, h, w)
        cases[f"mul_quads_{c}x{h}x{w}"] = _binary("mul", c, h, w)
        cases[f"mul_broadcast_{c}x{h}x{w}"] = _broadcast(c, h, w)
        cases[f"table_quads_{c}x{h}x{w}"] = _table(c, h, w, False)
        cases[f"table_channels_{c}x{h}x{w}"] = _table(c, h, w, True)
    for dims in ((1,), (3, 7), (2, 3, 67), (1, 5, 4, 9)):
        cases["add_plain_" + "x".join(map(str, dims))] = _binary_plain("add", dims)
        cases["mul_plain_" + "x".join(map(str, dims))] = _binary_plain("mul", dims)
    return cases


def _conversions() -> Model:
    b = Builder(3)
    for dims in ((7,), (3, 33), (2, 3, 5), (1, 5, 3, 7), (1, 8, 1, 1)):
        x = b.input(dims)
        b.dequantize(b.quantize(x))
        if len(dims) == 4:
            b.dequantize(b.quantize_plain(x))
    b.dequantize(b.input((4, 5), "u7"))
    return b.finish()


def _softmaxes() -> Model:
    b = Builder(4)
    for dims in ((1,), (10,), (3, 7), (2, 3, 8), (1, 2, 5, 17), (1, 1001)):
        b.softmax(b.input(dims))
    return b.finish()


def _plain_table() -> Model:
    b = Builder(6)
    b.table(b.input((3, 77), "u7"))
    return b.finish()


def _binary(kind: str, c: int, h: int, w: int) -> Case:
    def build() -> Model:
        b = Builder(c + h)
        getattr(b, kind)(b.image(c, h, w), b.image(c, h, w))
        return b.finish()

    return build


def _binary_plain(kind: str, dims: tuple[int, ...]) -> Case:
    def build() -> Model:
        b = Builder(len(dims))
        getattr(b, kind)(b.input(dims, "u7"), b.input(dims, "u7"))
        return b.finish()

    return build


def _broadcast(c: int, h: int, w: int) -> Case:
    def build() -> Model:
        b = Builder(c + w)
        x = b.image(c, h, w)
        b.mul(x, b.table(b.conv(b.global_pool(x), c)))
        return b.finish()

    return build


def _table(c: int, h: int, w: int, per_channel: bool) -> Case:
    def build() -> Model:
        b = Builder(c + h + w)
        b.table(b.image(c, h, w), per_channel)
        return b.finish()

    return build


def _network_cases() -> dict[str, Case]:
    return {
        "network_residual": _residual,
        "network_branches": _branches,
        "network_shared_output": _shared_output,
    }


def _residual() -> Model:
    """Inverted residual, squeeze and excite, head: what a small image classifier holds."""
    b = Builder(11)
    x = b.conv(b.image(3, 24, 24), 8, (3, 3), (2, 2), pads=SAME)
    for _ in range(2):
        y = b.depthwise(b.conv(x, 24, block_rows=2, density=0.5), pads=SAME)
        gate = b.table(b.conv(b.conv(b.global_pool(y), 6), 24))
        x = b.add(x, b.conv(b.mul(y, gate), 8, density=0.4))
    b.softmax(b.conv(b.global_pool(x), 10, head="f32_flat"))
    return b.finish()


def _branches() -> Model:
    """Two inputs, branches of different length, concat, resize, several outputs."""
    b = Builder(12)
    x, y = b.image(5, 10, 12), b.image(6, 5, 6)
    y = b.resize(y, (10, 12), "bilinear")
    a = b.sibling(x)
    c = b.concat([x, a, b.max_pool(x, (3, 3), (1, 1), SAME)], 1)
    d = b.conv(b.pad(c, (1, 0, 1, 0)), 7, (3, 1), density=0.5, block_rows=8)
    b.dequantize(b.layout(d))
    b.conv(b.add(y, b.conv(c, 6)), 4, head="f32")
    b.reshape(b.transpose(b.layout(y), (0, 2, 3, 1)), (120, 6))
    return b.finish()


def _shared_output() -> Model:
    """A graph output that later operators read too."""
    b = Builder(13)
    x = b.layout(b.conv(b.image(4, 6, 6), 4))
    b.dequantize(x)
    b.reshape(x, (4, 36))
    model = b.finish()
    model.outputs.append(x)
    return model


def _band_cases() -> dict[str, Case]:
    """A depthwise convolution and a 1x1 one behind it, which run together, a band of pixels at a time."""
    same5: Pads = (2, 2, 2, 2)
    return {
        "bands_7x7": _bands(20, 7, 7, 12),
        "bands_10x10": _bands(12, 10, 10, 20),
        "bands_14x14_8x4": _bands(16, 14, 14, 24, block_rows=8),
        "bands_17x23": _bands(9, 17, 23, 13, density=1.0),  # rows that are no multiple of a tile's pixels
        "bands_28x28_s2": _bands(8, 28, 28, 16, stride=(2, 2), block_rows=2),
        "bands_30x20_5x5": _bands(6, 30, 20, 9, kernel=(5, 5), pads=same5, block_rows=1),
        "bands_72x64": _bands(68, 72, 64, 4),  # more than one on one thread, of whole rows
        "bands_45x131": _bands(48, 45, 131, 4),  # of parts of rows
        "bands_3x2400": _bands(60, 3, 2400, 4),  # rows too few
        "bands_2x9000": _bands(120, 2, 9000, 1),  # and too wide
        "bands_residual": _bands_residual,
        "bands_read_twice": _bands_read_twice,
        "bands_concat": _bands_concat,
    }


def _bands(
    c: int,
    h: int,
    w: int,
    o: int,
    pads: Pads = SAME,
    block_rows: int = 4,
    density: float = 0.5,
    widening: int = 1,
    **window: tuple[int, int],
) -> Case:
    """``widening``: times as many channels behind a 1x1 convolution in front; 1 is none."""

    def build() -> Model:
        b = Builder(c + h + w + o)
        x = b.image(c, h, w)
        if widening > 1:
            x = b.conv(x, widening * c, block_rows=block_rows, density=density)
        y = b.depthwise(x, pads=pads, **window)
        b.conv(y, o, block_rows=block_rows, density=density)
        return b.finish()

    return build


def _wide_band_cases() -> dict[str, Case]:
    """A 1x1 convolution in front that widens the image: with threads, bands compute it, too."""
    same5: Pads = (2, 2, 2, 2)
    wide = partial(_bands, widening=4)
    return {
        "wide_bands_7x7": wide(8, 7, 7, 12),
        "wide_bands_14x14_8x4": wide(12, 14, 14, 20, block_rows=8),
        "wide_bands_17x23": wide(5, 17, 23, 9),  # rows that are no multiple of a tile's pixels
        "wide_bands_28x28_s2": wide(8, 28, 28, 16, stride=(2, 2), block_rows=2),
        "wide_bands_29x31_s2": wide(8, 29, 31, 16, stride=(2, 2), pads=(0, 0, 1, 1)),
        "wide_bands_30x20_5x5": wide(4, 30, 20, 9, kernel=(5, 5), pads=same5, block_rows=1),
        "wide_bands_20x20_unpadded": wide(4, 20, 20, 8, pads=(0, 0, 0, 0)),
        "wide_bands_30x18_dilated": wide(4, 30, 18, 8, dilation=(2, 2), pads=same5),
        "wide_bands_72x64": wide(16, 72, 64, 4),  # two for each of two threads
        "wide_bands_residual": _wide_bands_residual,
        "wide_bands_read_twice": _wide_bands_read_twice,
        "wide_bands_behind_bands": _wide_bands_behind_bands,
    }


def _wide_bands_residual() -> Model:
    """Narrow images are read again later; the result of one is the next one's input."""
    b = Builder(24)
    x = b.image(8, 18, 18)
    for _ in range(3):
        wide = b.conv(x, 40, density=0.5)
        x = b.add(x, b.conv(b.depthwise(wide, pads=SAME), 8, density=0.5))
    return b.finish()


def _wide_bands_read_twice() -> Model:
    """The wide image is read by another operator, and so must exist."""
    b = Builder(25)
    wide = b.conv(b.image(8, 16, 20), 32, density=0.5)
    b.add(wide, b.conv(b.depthwise(wide, pads=SAME), 32, density=0.5))
    return b.finish()


def _wide_bands_behind_bands() -> Model:
    """The 1x1 convolution that widens is the one behind a depthwise convolution, and runs with that."""
    b = Builder(26)
    x = b.conv(b.depthwise(b.image(8, 16, 20), pads=SAME), 32, density=0.5)
    b.conv(b.depthwise(x, pads=SAME), 8, density=0.5)
    return b.finish()


def _bands_residual() -> Model:
    """What the depthwise convolution read is read again later; pairs follow each other."""
    b = Builder(21)
    x = b.image(12, 18, 18)
    for _ in range(3):
        x = b.add(x, b.conv(b.depthwise(x, pads=SAME), 12, density=0.5))
    b.conv(b.depthwise(x, stride=(2, 2), pads=SAME), 8)
    return b.finish()


def _bands_read_twice() -> Model:
    """What lies between is read by another operator, and so must exist."""
    b = Builder(22)
    y = b.depthwise(b.image(8, 16, 20), pads=SAME)
    b.add(y, b.conv(y, 8, density=0.5))
    return b.finish()


def _bands_concat() -> Model:
    """The result is written where a join wants it, and the input is part of another."""
    b = Builder(23)
    x = b.image(8, 16, 20)
    y = b.concat([x, b.sibling(x)], 1)
    z = b.conv(b.depthwise(y, pads=SAME), 16, density=0.5)
    b.depthwise(b.concat([z, b.sibling(z)], 1), pads=SAME)
    return b.finish()


def operator_cases() -> dict[str, Case]:
    """Name -> a function that builds the model; about 200 of them."""
    return (
        _conv_cases()
        | _depthwise_cases()
        | _pool_cases()
        | _moving_cases()
        | _elementwise_cases()
        | _network_cases()
        | _band_cases()
        | _wide_band_cases()
    )


def random_model(seed: int) -> Model:
    """A chain of 3 to 10 random operators on quads, with joins back to earlier tensors of equal size."""
    b = Builder(seed)
    rng = b.rng
    x = b.image(int(rng.integers(1, 20)), int(rng.integers(1, 24)), int(rng.integers(1, 40)))
    history = [x]
    for _ in range(int(rng.integers(3, 11))):
        x = _random_step(b, x, history)
        history.append(x)
    if rng.random() < 0.5:
        b.conv(x, int(rng.integers(1, 12)), head="f32", density=float(rng.choice([1, 0.5])))
    return b.finish()


def _random_step(b: Builder, x: int, history: list[int]) -> int:
    rng = b.rng
    h, w = b.dims(x)[2:]
    kernel = (int(rng.integers(1, min(h, 4) + 1)), int(rng.integers(1, min(w, 4) + 1)))
    stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    pads: Pads = tuple(int(rng.integers(0, k)) for k in (*kernel, *kernel))  # type: ignore[assignment]
    partner = [t for t in history if b.dims(t) == b.dims(x)]
    choice = rng.integers(0, 11)
    if choice <= 3:
        r, density = int(rng.choice([1, 2, 4, 8])), float(rng.choice([1.0, 0.5, 0.2]))
        return b.conv(x, int(rng.integers(1, 36)), kernel, stride, pads=pads, block_rows=r, density=density)
    if choice == 4:
        return b.depthwise(x, kernel, stride, pads=pads)
    if choice == 5:
        return b.avg_pool(x, kernel, stride, pads, int(rng.integers(0, 2)))
    if choice == 6:
        return b.max_pool(x, kernel, stride, pads)
    if choice == 7:
        return b.resize(
            x, (int(rng.integers(1, 20)), int(rng.integers(1, 20))), str(rng.choice(["nearest", "bilinear"]))
        )
    if choice == 8:
        return b.concat([x, b.sibling(x)], 1)
    if choice == 9:
        return b.table(b.pad(x, pads), bool(rng.integers(0, 2)))
    other = partner[int(rng.integers(len(partner)))]
    return b.add(x, other) if rng.random() < 0.5 else b.mul(x, other)
