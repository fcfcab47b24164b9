"""Cases of families ADD, MUL, TABLE and QUANTIZE."""

from __future__ import annotations

from typing import Any

import kernel_build
import numpy as np
from kernel_bench import U8, Buffer, Case, Kernel, plane_bytes
from kernel_values import F32, draw_activations, draw_requant, draw_scales, draw_zero_point, requantize


def draw_count(rng: np.random.Generator, quads: bool) -> int:
    """Bytes: of whole planes, or any number."""
    if quads:
        return int(rng.integers(1, 4)) * plane_bytes(int(rng.integers(1, 200)))
    return int(rng.choice([rng.integers(1, 40), rng.integers(1, 1000)]))


def output_buffer(count: int, in_place: Buffer | None) -> Buffer:
    """A new buffer, or the first input's."""
    output = in_place or Buffer(count)
    output.exact[:] = True
    return output


def pair_multipliers(rng: np.random.Generator, scale: str) -> F32:
    """[2] f32 whose products' sum stays below 2^31."""
    half = np.full(2, 2 * 127)
    return draw_scales(rng, half, np.full(2, 150), scale)


def make_add(
    rng: np.random.Generator,
    kernel: Kernel,
    *,
    count: int | None = None,
    scale: str = "typical",
    activations: str = "any",
    in_place: bool = False,
) -> Case:
    """Two tensors of any layout; in place the sum replaces the first."""
    count = count or draw_count(rng, bool(rng.random() < 0.5))
    a, b = draw_activations(rng, count, activations), draw_activations(rng, count, activations)
    za, zb, requant = draw_zero_point(rng), draw_zero_point(rng), draw_requant(rng)
    m = pair_multipliers(rng, scale)
    buffers = {"a": Buffer(count, a), "b": Buffer(count, b)}
    output = output_buffer(count, buffers["a"] if in_place else None)

    def oracle() -> dict[str, U8]:
        left = (a.astype(np.int64) - za).astype(np.float32) * m[0]
        right = (b.astype(np.int64) - zb).astype(np.float32) * m[1]
        rounded = np.rint(left + right).astype(np.int64) + requant["zero_point"]
        return {name: np.clip(rounded, requant["clamp_min"], requant["clamp_max"]).astype(np.uint8)}

    name = "a" if in_place else "output"
    buffers[name] = output
    fields: dict[str, Any] = {
        "a": buffers["a"].pointer("uint8_t"),
        "b": buffers["b"].pointer("uint8_t"),
        "output": output.pointer("uint8_t"),
        "count": count,
        "zero_point_a": za,
        "zero_point_b": zb,
        "multiplier_a": float(m[0]),
        "multiplier_b": float(m[1]),
        "requant": requant,
    }
    parameters = {"count": count, "zero_points": (za, zb), "multipliers": m.tolist(), "requant": requant}
    return Case(kernel_build.ffi().new("lw_binary_args *", fields), buffers, parameters, oracle)


def make_mul(
    rng: np.random.Generator,
    kernel: Kernel,
    *,
    count: int | None = None,
    scale: str = "typical",
    activations: str = "any",
    b_quad: bool = False,
    in_place: bool = False,
) -> Case:
    """Two tensors, or one plane times four channels (`b_quad`)."""
    count = count or draw_count(rng, b_quad or bool(rng.random() < 0.5))
    a = draw_activations(rng, count, activations)
    b = draw_activations(rng, 4 if b_quad else count, activations)
    za, zb, requant = draw_zero_point(rng), draw_zero_point(rng), draw_requant(rng)
    m = draw_scales(rng, np.array([127 * 127]), np.array([3000]), scale)[0]
    buffers = {"a": Buffer(count, a), "b": Buffer(b.size, b)}
    output = output_buffer(count, buffers["a"] if in_place else None)
    name = "a" if in_place else "output"
    buffers[name] = output

    def oracle() -> dict[str, U8]:
        right = np.resize(b, count).astype(np.int64) - zb
        return {name: requantize((a.astype(np.int64) - za) * right, m, requant)}

    fields: dict[str, Any] = {
        "a": buffers["a"].pointer("uint8_t"),
        "b": buffers["b"].pointer("uint8_t"),
        "output": output.pointer("uint8_t"),
        "count": count,
        "zero_point_a": za,
        "zero_point_b": zb,
        "multiplier_a": float(m),
        "b_quad": int(b_quad),
        "requant": requant,
    }
    parameters = {"count": count, "zero_points": (za, zb), "multiplier": float(m), "requant": requant}
    return Case(kernel_build.ffi().new("lw_binary_args *", fields), buffers, parameters, oracle)


def make_table(
    rng: np.random.Generator,
    kernel: Kernel,
    *,
    count: int | None = None,
    per_channel: bool | None = None,
    in_place: bool = False,
) -> Case:
    """One table, or one per channel of the quad."""
    per_channel = bool(rng.random() < 0.5) if per_channel is None else per_channel
    count = count or draw_count(rng, per_channel)
    data = draw_activations(rng, count)
    table = rng.integers(0, 128, (4 if per_channel else 1, 128), np.uint8)
    buffers = {"input": Buffer(count, data), "table": Buffer(table.size, table)}
    output = output_buffer(count, buffers["input"] if in_place else None)
    name = "input" if in_place else "output"
    buffers[name] = output

    def oracle() -> dict[str, U8]:
        return {name: table[np.arange(count) % len(table), data]}

    fields: dict[str, Any] = {
        "input": buffers["input"].pointer("uint8_t"),
        "output": output.pointer("uint8_t"),
        "count": count,
        "table": buffers["table"].pointer("uint8_t"),
        "per_channel": int(per_channel),
    }
    return Case(
        kernel_build.ffi().new("lw_table_args *", fields),
        buffers,
        {"count": count, "per_channel": per_channel},
        oracle,
    )


def draw_reals(rng: np.random.Generator, size: int, inverse_scale: float, mode: str) -> F32:
    """[size] f32: ``any``; ``tie`` (halves after scaling); ``wild`` (infinities, zeros of both signs, denormals)."""
    if mode == "wild":
        wild = [np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-40, 3e38, -3e38, 1.0, -1.0]
        return rng.choice(np.array(wild, np.float32), size)
    if mode == "tie":
        return ((rng.integers(-140, 140, size) + 0.5) / inverse_scale).astype(np.float32)
    return (rng.normal(0, 60, size) / inverse_scale).astype(np.float32)


def make_quantize(
    rng: np.random.Generator,
    kernel: Kernel,
    *,
    pixels: int | None = None,
    channels: int | None = None,
    reals: str = "any",
    nans: int = 0,
    already_nan: bool = False,
) -> Case:
    """One channel group of an image; the last 4 - channels channels are padding."""
    pixels = pixels or int(rng.choice([1, rng.integers(1, 70), rng.integers(1, 400)]))
    channels = channels or int(rng.integers(1, 5))
    inverse_scale = (
        float(2.0 ** rng.integers(-8, 8)) if reals == "tie" else float(np.float32(rng.uniform(0.01, 200)))
    )
    zero_point = draw_zero_point(rng)
    values = draw_reals(rng, channels * pixels, inverse_scale, reals).reshape(channels, pixels)
    for at in rng.integers(0, values.size, nans):
        values.reshape(-1)[at] = np.nan
    buffers = {f"channel{c}": Buffer(pixels * 4, values[c]) for c in range(channels)}
    output, nan = Buffer(plane_bytes(pixels)), Buffer(4, np.array([already_nan], np.uint32))
    # What stands for a NaN is nobody's business: the run fails.
    wanted = np.ones((pixels, 4), bool)
    wanted[:, :channels] = ~np.isnan(values).T
    output.exact[: pixels * 4] = wanted.reshape(-1)
    output.loose[:] = ~output.exact
    nan.exact[:] = True
    buffers |= {"output": output, "nan": nan}

    def oracle() -> dict[str, U8]:
        quads = np.full((pixels, 4), zero_point, np.uint8)
        with np.errstate(invalid="ignore", over="ignore"):
            product = np.clip(values * np.float32(inverse_scale), -1024, 1024)
            quads[:, :channels] = np.clip(np.rint(np.nan_to_num(product)) + zero_point, 0, 127).T
        full = np.zeros(output.size, np.uint8)
        full[: pixels * 4] = quads.reshape(-1)
        return {"output": full, "nan": np.array([nans > 0 or already_nan], np.uint32).view(np.uint8)}

    ffi = kernel_build.ffi()
    pointers = [buffers[f"channel{c}"].pointer("float") if c < channels else ffi.NULL for c in range(4)]
    fields: dict[str, Any] = {
        "channel": pointers,
        "pixels": pixels,
        "inverse_scale": inverse_scale,
        "zero_point": zero_point,
        "output": output.pointer("uint8_t"),
        "nan": nan.pointer("uint32_t"),
    }
    parameters = {
        "pixels": pixels,
        "channels": channels,
        "inverse_scale": inverse_scale,
        "zero_point": zero_point,
    }
    return Case(ffi.new("lw_quantize_args *", fields), buffers, parameters, oracle)
