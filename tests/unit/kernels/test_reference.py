"""The reference's plain functions against numpy, written from docs/numerics.md."""

from __future__ import annotations

from typing import Any

import kernel_build
import numpy as np
import pytest
from kernel_bench import U8, Buffer, plane_bytes
from kernel_values import F32
from numpy.typing import NDArray

ffi = kernel_build.ffi()
lib = kernel_build.library("native")


def u8(buffer: Buffer) -> Any:
    return buffer.pointer("uint8_t")


def f32(buffer: Buffer) -> Any:
    return buffer.pointer("float")


def of(array: NDArray[Any]) -> Buffer:
    """A buffer that holds the array."""
    return Buffer(array.nbytes, np.ascontiguousarray(array))


def quads(plain: U8) -> Buffer:
    """[C][H][W] u8 as planes of quads; 99 in padding channels, 55 in padding pixels."""
    channels, pixels = plain.shape[0], plain[0].size
    c4, stride = -(-channels // 4), plane_bytes(pixels)
    data = np.full((c4, stride), 55, np.uint8)
    full = np.full((c4 * 4, pixels), 99, np.uint8)
    full[:channels] = plain.reshape(channels, pixels)
    data[:, : pixels * 4] = full.reshape(c4, 4, pixels).transpose(0, 2, 1).reshape(c4, -1)
    return of(data)


def plain(buffer: Buffer, channels: int, pixels: int) -> U8:
    """[C][pixels] u8 out of planes of quads."""
    planes = buffer.data.reshape(-(-channels // 4), plane_bytes(pixels))[:, : pixels * 4]
    return planes.reshape(-1, pixels, 4).transpose(0, 2, 1).reshape(-1, pixels)[:channels]


def random_u7(seed: int, *shape: int) -> U8:
    return np.random.default_rng(seed).integers(0, 128, shape, np.uint8)


def test_round_half_to_even_up_to_2_to_the_31() -> None:
    halves = np.arange(-4200, 4200).astype(np.float32) / 4
    powers = np.concatenate([2.0**e + np.arange(-70, 70) * max(2.0 ** (e - 24), 0.25) for e in range(31)])
    below = np.nextafter(np.float32(2**31), np.float32(0))
    bits = np.random.default_rng(5).integers(0, 2**32, 500_000, np.uint32).view(np.float32)
    bits = bits[np.abs(bits) <= below]
    values = np.concatenate(
        [halves, powers.astype(np.float32), -powers.astype(np.float32), [below, -below, -0.0], bits]
    )
    values = np.unique(values[np.abs(values) <= below]).astype(np.float32)
    data, output = of(values), Buffer(values.nbytes)
    lib.test_round(f32(data), values.size, output.pointer("int32_t"))
    assert np.array_equal(output.data.view(np.int32), np.rint(values).astype(np.int64))


@pytest.mark.parametrize("channels", range(1, 10))
@pytest.mark.parametrize("pixels", [1, 2, 15, 16, 17, 48])
def test_layout_there_and_back(channels: int, pixels: int) -> None:
    source = random_u7(channels, channels, pixels)
    stride = plane_bytes(pixels)
    packed, back, data = Buffer(-(-channels // 4) * stride), Buffer(source.size), of(source)
    lib.lw_layout_to_quads(u8(data), channels, pixels, u8(packed), stride)
    assert np.array_equal(plain(packed, channels, pixels), source)
    lib.lw_layout_to_plain(u8(packed), stride, channels, pixels, u8(back))
    assert np.array_equal(back.data, source.reshape(-1))


@pytest.mark.parametrize("sizes", [(4, 4), (1, 1, 1, 1, 1), (3, 5, 2), (8, 1, 7), (5, 8, 4)])
@pytest.mark.parametrize("pixels", [1, 6, 20])
def test_concat_quads_at_every_phase(sizes: tuple[int, ...], pixels: int) -> None:
    stride, total = plane_bytes(pixels), sum(sizes)
    parts = [random_u7(i, n, pixels) for i, n in enumerate(sizes)]
    output, first = Buffer(-(-total // 4) * stride), 0
    for part in parts:
        source = quads(part)
        lib.lw_concat_quads(u8(source), stride, len(part), pixels, first, u8(output), stride)
        first += len(part)
    assert np.array_equal(plain(output, total, pixels), np.concatenate(parts))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_concat_plain(axis: int) -> None:
    shapes = [[2, 3, 4], [2, 3, 4], [2, 3, 4]]
    for i, shape in enumerate(shapes):
        shape[axis] = i + 1
    parts = [random_u7(i, *shape) for i, shape in enumerate(shapes)]
    wanted = np.concatenate(parts, axis)
    buffers, output = [of(p) for p in parts], Buffer(wanted.size)
    inner = [int(np.prod(p.shape[axis:])) for p in parts]
    outer = int(np.prod(wanted.shape[:axis]))
    lib.lw_concat_plain(
        [b.pointer("void") for b in buffers], inner, len(parts), outer, output.pointer("void")
    )
    assert np.array_equal(output.data, wanted.reshape(-1))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(
    "perm", [(0,), (1, 0), (2, 0, 1), (1, 2, 0), (0, 2, 3, 1), (3, 1, 0, 2), (0, 1, 2, 3)]
)
def test_transpose(perm: tuple[int, ...], dtype: Any) -> None:
    source = np.arange(np.prod((2, 3, 4, 5)[: len(perm)])).astype(dtype).reshape((2, 3, 4, 5)[: len(perm)])
    data, output = of(source), Buffer(source.nbytes)
    lib.lw_transpose(
        data.pointer("void"),
        list(source.shape),
        list(perm),
        len(perm),
        source.itemsize,
        output.pointer("void"),
    )
    assert np.array_equal(output.data.view(dtype), source.transpose(perm).reshape(-1))


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 2, 3, 4), (0, 5, 0, 0)])
def test_pad_plane_with_the_zero_point(pads: tuple[int, int, int, int]) -> None:
    source = random_u7(1, 3, 5, 4)
    top, left, bottom, right = pads
    wanted = np.pad(source, ((top, bottom), (left, right), (0, 0)), constant_values=77)
    data, output = of(source), Buffer(wanted.size)
    lib.lw_pad_plane(u8(data), 3, 5, top, left, bottom, right, 77, u8(output))
    assert np.array_equal(output.data, wanted.reshape(-1))


def test_resize_nearest_follows_its_tables() -> None:
    rng = np.random.default_rng(2)
    source = random_u7(2, 4, 6, 4)
    rows, cols = rng.integers(0, 4, 9).astype(np.uint16), rng.integers(0, 6, 7).astype(np.uint16)
    row_table, col_table, data, output = of(rows), of(cols), of(source), Buffer(9 * 7 * 4)
    tables = row_table.pointer("uint16_t"), 9, col_table.pointer("uint16_t"), 7
    lib.lw_resize_nearest_plane(u8(data), 6, *tables, u8(output))
    assert np.array_equal(output.data, source[rows][:, cols].reshape(-1))


@pytest.mark.parametrize("weights", ["any", "ends", "half"])
def test_resize_bilinear_rounds_once_to_even(weights: str) -> None:
    rng = np.random.default_rng(3)
    source = random_u7(3, 5, 6, 4)
    low_row, high_row = rng.integers(0, 5, (2, 11)).astype(np.uint16)
    low_col, high_col = rng.integers(0, 6, (2, 8)).astype(np.uint16)
    choices = {"any": np.arange(257), "ends": np.array([0, 256]), "half": np.array([128])}[weights]
    row_weight, col_weight = (
        rng.choice(choices, 11).astype(np.uint16),
        rng.choice(choices, 8).astype(np.uint16),
    )
    buffers = [of(t) for t in (low_row, high_row, row_weight, low_col, high_col, col_weight)]
    pointers = [b.pointer("uint16_t") for b in buffers]
    data, output = of(source), Buffer(11 * 8 * 4)
    lib.lw_resize_bilinear_plane(
        u8(data), 6, ffi.new("lw_resize_axis *", [*pointers[:3], 11]), ffi.new("lw_resize_axis *", [*pointers[3:], 8]),
        u8(output),
    )  # fmt: skip
    q = source.astype(np.int64)
    wr, wc = row_weight.astype(np.int64)[:, None, None], col_weight.astype(np.int64)[None, :, None]
    top = (256 - wc) * q[low_row][:, low_col] + wc * q[low_row][:, high_col]
    bottom = (256 - wc) * q[high_row][:, low_col] + wc * q[high_row][:, high_col]
    wanted = np.rint(((256 - wr) * top + wr * bottom) / 65536)
    assert np.array_equal(output.data, wanted.astype(np.uint8).reshape(-1))


def test_dequantize_plain_and_quads() -> None:
    source = random_u7(4, 6, 10)
    scale = np.float32(0.0371)
    wanted = (source.astype(np.float32) - np.float32(17)) * scale
    data, packed, output = of(source), quads(source), Buffer(source.size * 4)
    lib.lw_dequantize_plain(u8(data), source.size, float(scale), 17, f32(output))
    assert np.array_equal(output.data.view(np.float32), wanted.reshape(-1))
    output.reset()
    lib.lw_dequantize_quads(u8(packed), plane_bytes(10), 6, 10, float(scale), 17, f32(output))
    assert np.array_equal(output.data.view(np.float32), wanted.reshape(-1))


def test_quantize_plain_ties_infinities_and_nan() -> None:
    source = np.array([0.5, 1.5, 2.5, -0.5, -1.5, np.inf, -np.inf, 1e30, 63.49, -64.0], np.float32)
    data, output, nan = of(source), Buffer(source.size), ffi.new("uint32_t *")
    lib.lw_quantize_plain(f32(data), source.size, 1.0, 60, u8(output), nan)
    assert output.data.tolist() == [60, 62, 62, 60, 58, 127, 0, 127, 123, 0]
    assert nan[0] == 0
    data = of(np.array([1.0, np.nan], np.float32))
    lib.lw_quantize_plain(f32(data), 2, 1.0, 0, u8(output), nan)
    assert nan[0] == 1


def exp_f32(x: F32) -> F32:
    """docs/numerics.md, exp_f32, one float32 step at a time; no NaN."""
    one = np.float32
    clipped = np.maximum(x, one(-87))
    n = np.rint(clipped * one(float.fromhex("0x1.715476p+0")))
    r = (clipped - n * one(float.fromhex("0x1.62e400p-1"))) - n * one(float.fromhex("0x1.7f7d1cp-20"))
    p = np.full_like(r, float.fromhex("0x1.6c16c2p-10"))
    for step in ("0x1.111112p-7", "0x1.555556p-5", "0x1.555556p-3", "0x1p-1", "0x1p0", "0x1p0"):
        p = p * r + one(float.fromhex(step))
    return np.where(x < -87, one(0), p * np.exp2(n).astype(np.float32)).astype(np.float32)


def softmax(x: F32) -> F32:
    """docs/numerics.md, softmax of one row."""
    e = exp_f32(x - x.max())
    partial = np.zeros(8, np.float32)
    for i, value in enumerate(e):
        partial[i % 8] += value
    p = partial
    return np.asarray(e / (((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))), np.float32)


def run_softmax(x: F32) -> F32:
    data, output = of(x), Buffer(x.nbytes)
    lib.lw_softmax_rows(f32(data), x.shape[0], x.shape[1], f32(output))
    return output.data.view(np.float32).reshape(x.shape).copy()


def test_exp_bits_and_accuracy() -> None:
    x = -np.concatenate([np.linspace(0, 90, 5001), np.geomspace(1e-40, 1, 500), [87.0]]).astype(np.float32)
    got = np.array([lib.lw_exp(float(v)) for v in x], np.float32)
    assert np.array_equal(got, exp_f32(x))
    inside = x > -87
    exact = np.exp(x[inside].astype(np.float64))
    assert np.max(np.abs(got[inside] - exact) / exact) < 3e-7
    assert lib.lw_exp(-np.inf) == 0.0
    assert np.isnan(lib.lw_exp(np.nan))


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 16, 17, 1000])
@pytest.mark.parametrize("spread", [0.1, 5.0, 60.0])
def test_softmax_bits_around_eight(n: int, spread: float) -> None:
    x = np.random.default_rng(n).normal(0, spread, (3, n)).astype(np.float32)
    got = run_softmax(x)
    assert np.array_equal(got, np.stack([softmax(row) for row in x]))
    assert np.allclose(got.sum(axis=1), 1, atol=1e-5)


def test_softmax_of_one_minus_infinity_is_zero() -> None:
    assert run_softmax(np.array([[0, -np.inf]], np.float32)).tolist() == [[1, 0]]


@pytest.mark.parametrize("row", [[np.nan, 0, 1], [0, np.nan, 1], [np.inf, 0, 1], [-np.inf] * 3])
def test_softmax_without_an_answer_is_the_canonical_nan(row: list[float]) -> None:
    got = run_softmax(np.array([row, [0, 0, 0]], np.float32))
    assert got[0].view(np.uint32).tolist() == [0x7FC00000] * 3
    assert np.array_equal(got[1], np.full(3, np.float32(1) / np.float32(3)))
