"""One function per operator: logical arrays in, logical array out (no quads, no padding channels).

u7 tensors are uint8 arrays, f32 tensors float32 arrays, both of the tensor's logical dims. Every function takes the
operator, its input tensors, its output tensor and the input arrays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from lacewing.format import Op, Tensor
from lacewing.format.description import ENCODINGS, OPERATORS, QUAD, RESIZE_MODES
from tests.oracle.arithmetic import Array, Integers, f32, plus, requantize, rne, softmax, times

Function = Callable[[Op, list[Tensor], Tensor, list[Array]], Array]


class NanInput(ValueError):
    """A float input of a quantize holds NaN; the engine's error is ``input_nan``."""


def _integer(op: Op, name: str) -> int:
    return int(op.attributes[name])


def _window(op: Op) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """(kernel, stride, dilation), each (h, w); pooling has dilation 1."""
    kernel = (_integer(op, "kernel_h"), _integer(op, "kernel_w"))
    stride = (_integer(op, "stride_h"), _integer(op, "stride_w"))
    return kernel, stride, (int(op.attributes.get("dilation_h", 1)), int(op.attributes.get("dilation_w", 1)))


def _padded(op: Op, x: Array, value: int) -> Array:
    """x [C,H,W] with the operator's pads around it filled with ``value``."""
    top, left, bottom, right = (_integer(op, f"pad_{side}") for side in ("top", "left", "bottom", "right"))
    return np.pad(x, ((0, 0), (top, bottom), (left, right)), constant_values=value)


def _taps(op: Op, x: Array) -> tuple[list[Array], tuple[int, int]]:
    """For each tap (ky, kx), row-major, what every output pixel sees there: [C,OH,OW]; and (OH, OW). x is padded."""
    (kh, kw), (sh, sw), (dh, dw) = _window(op)
    oh = (x.shape[1] - (dh * (kh - 1) + 1)) // sh + 1
    ow = (x.shape[2] - (dw * (kw - 1) + 1)) // sw + 1
    views = []
    for ky in range(kh):
        for kx in range(kw):
            rows = slice(ky * dh, ky * dh + (oh - 1) * sh + 1, sh)
            cols = slice(kx * dw, kx * dw + (ow - 1) * sw + 1, sw)
            views.append(x[:, rows, cols])
    return views, (oh, ow)


def conv_weights(op: Op, channels: int, output_channels: int) -> Integers:
    """The dense weights [O,kh*kw,C] that the blocks of a conv stand for."""
    r = _integer(op, "block_rows")
    taps = _integer(op, "kernel_h") * _integer(op, "kernel_w")
    c4 = -(-channels // QUAD)
    rows = -(-output_channels // r)
    blocks = np.zeros((rows, taps * c4, r, QUAD), np.int64)
    if op.attributes["encoding"] == ENCODINGS["dense"]:
        blocks[:] = op.data["weights"].reshape(blocks.shape)
    else:
        kept = np.unpackbits(op.data["mask"], axis=1, bitorder="little")[:, : taps * c4].astype(bool)
        blocks[kept] = op.data["weights"]
    dense = blocks.reshape(rows, taps, c4, r, QUAD).transpose(0, 3, 1, 2, 4)
    return dense.reshape(rows * r, taps, c4 * QUAD)[:output_channels, :, :channels]


def _finish(op: Op, result: Tensor, acc: Integers) -> Array:
    """acc [O,OH,OW] with the bias already added -> the conv's output array."""
    scale = op.data["scale"][: acc.shape[0]].reshape(-1, 1, 1)
    if result.dtype == "f32":
        return times(f32(acc), f32(scale)).reshape(result.dims)
    low, high = _integer(op, "clamp_min"), _integer(op, "clamp_max")
    return requantize(acc, scale, result.zero_point, low, high).reshape(result.dims)


def conv(op: Op, sources: list[Tensor], result: Tensor, inputs: list[Array]) -> Array:
    """Sparse or dense convolution. Products and sums stay below 2^53, so a float64 matrix product is exact."""
    x = inputs[0][0]
    weights = conv_weights(op, x.shape[0], result.dims[1]).astype(np.float64)
    views, (oh, ow) = _taps(op, _padded(op, x, sources[0].zero_point))
    columns = np.stack(views).reshape(-1, oh * ow).astype(np.float64)  # [kh*kw*C][OH*OW]
    acc = (weights.reshape(weights.shape[0], -1) @ columns).astype(np.int64)
    acc += op.data["bias"][: acc.shape[0], None].astype(np.int64)
    return _finish(op, result, acc.reshape(-1, oh, ow))


def depthwise(op: Op, sources: list[Tensor], result: Tensor, inputs: list[Array]) -> Array:
    """One filter per channel."""
    x = inputs[0][0]
    weights = op.data["weights"].astype(np.int64).transpose(0, 2, 1)  # [C4][4][kh*kw]
    weights = weights.reshape(-1, weights.shape[2])[: x.shape[0]]
    views, (oh, ow) = _taps(op, _padded(op, x, sources[0].zero_point))
    acc = np.zeros((x.shape[0], oh, ow), np.int64)
    acc += op.data["bias"][: x.shape[0]].astype(np.int64).reshape(-1, 1, 1)
    for tap, view in enumerate(views):
        acc += view.astype(np.int64) * weights[:, tap].reshape(-1, 1, 1)
    return _finish(op, result, acc)


def quantize(op: Op, sources: list[Tensor], result: Tensor, inputs: list[Array]) -> Array:
    """f32 -> u7. Raises NanInput."""
    if np.isnan(inputs[0]).any():
        raise NanInput(op.name)
    product = times(inputs[0], f32(op.attributes["inverse_scale"]))
    bounded = np.clip(product, np.float32(-1024), np.float32(1024))
    return np.clip(rne(bounded) + result.zero_point, 0, 127).astype(np.uint8)


def _centred(x: Array, tensor: Tensor) -> Integers:
    return x.astype(np.int64) - tensor.zero_point


def dequantize(op: Op, sources: list[Tensor], result: Tensor, inputs: list[Array]) -> Array:
    """u7 -> f32."""
    return times(f32(_centred(inputs[0], sources[0])), f32(sources[0].scale))


def add(op: Op, sources: list[Tensor], result: Tensor, inputs: list[Array]) -> Array:
    """Two multiplications, one addition, one rounding."""
    a = times(f32(_centred(inputs[0], sources[0])), f32(op.attributes["multiplier0"]))
    b = times(f32(_centred(inputs[1], sources[1])), f32(op.attributes["multiplier1"]))
    low, high = _integer(op, "clamp_min"), _integer(op, "clamp_max")
    return np.clip(rne(plus(a, b)) + result.zero_point, low, high).astype(np.uint8)


def mul(op: Op, sources: list[Tensor], result: Tensor, inputs: list[Array]) -> Array:
    """Elementwise product; numpy's broadcasting covers the [1,C,1,1] second input."""
    acc = _centred(inputs[0], sources[0]) * _centred(inputs[1], sources[1])
    low, high = _integer(op, "clamp_min"), _integer(op, "clamp_max")
    return requantize(acc, op.attributes["multiplier"], result.zero_point, low, high)


def avg_pool(op: Op, sources: list[Tensor], result: Tensor, inputs: list[Array]) -> Array:
    """Sum over the taps inside the image, then the multiplier of that count, rounded where the result is u7."""
    x = _centred(inputs[0][0], sources[0])
    views, _ = _taps(op, _padded(op, x, 0))
    inside, _ = _taps(op, _padded(op, np.ones((1, *x.shape[1:]), np.int64), 0))
    acc = np.sum(np.stack(views), axis=0, dtype=np.int64)
    count = np.sum(np.stack(inside), axis=0, dtype=np.int64)
    multipliers = op.data["multipliers"]
    multiplier = np.asarray(multipliers[0] if len(multipliers) == 1 else multipliers[count - 1])
    if result.dtype == "f32":
        return times(f32(acc), f32(multiplier)).reshape(result.dims)
    low, high = _integer(op, "clamp_min"), _integer(op, "clamp_max")
    pooled: Array = requantize(acc, multiplier, result.zero_point, low, high)
    return pooled[None]


def max_pool(op: Op, sources: list[Tensor], result: Tensor, inputs: list[Array]) -> Array:
    """The largest value inside the image: a padded tap is 0, the least value there is, and never wins wrongly."""
    views, _ = _taps(op, _padded(op, inputs[0][0], 0))
    highest: Array = np.max(np.stack(views), axis=0)
    return highest[None]


def concat(op: Op, sources: list[Tensor], result: Tensor, inputs: list[Array]) -> Array:
    """Joins along the axis."""
    return np.concatenate(inputs, axis=_integer(op, "axis"))


def pad(op: Op, sources: list[Tensor], result: Tensor, inputs: list[Array]) -> Array:
    """Writes the zero point around the image."""
    return _padded(op, inputs[0][0], sources[0].zero_point)[None]


def resize(op: Op, sources: list[Tensor], result: Tensor, inputs: list[Array]) -> Array:
    """Nearest: a gather. Bilinear: exact integer blend, one rounding at the end."""
    x = inputs[0][0].astype(np.int64)
    rows, cols = op.data["row_low"].astype(np.int64), op.data["col_low"].astype(np.int64)
    if op.attributes["mode"] == RESIZE_MODES["nearest"]:
        nearest: Array = x[:, rows][:, :, cols].astype(np.uint8)
        return nearest[None]
    rows_high, cols_high = op.data["row_high"].astype(np.int64), op.data["col_high"].astype(np.int64)
    wr = op.data["row_weight"].astype(np.int64).reshape(1, -1, 1)
    wc = op.data["col_weight"].astype(np.int64).reshape(1, 1, -1)
    low = (256 - wc) * x[:, rows][:, :, cols] + wc * x[:, rows][:, :, cols_high]
    high = (256 - wc) * x[:, rows_high][:, :, cols] + wc * x[:, rows_high][:, :, cols_high]
    acc = (256 - wr) * low + wr * high
    return rne(times(f32(acc), np.float32(2.0**-16))).astype(np.uint8)[None]


def table(op: Op, sources: list[Tensor], result: Tensor, inputs: list[Array]) -> Array:
    """``table[channel or 0][q]``."""
    entries: npt.NDArray[np.uint8] = op.data["table"]
    if len(entries) == 1:
        return np.take(entries[0], inputs[0])
    channel = np.arange(len(entries)).reshape(1, -1, 1, 1)
    return np.asarray(entries[channel, inputs[0]])


def softmax_f32(op: Op, sources: list[Tensor], result: Tensor, inputs: list[Array]) -> Array:
    """Softmax over the last axis."""
    return softmax(inputs[0])


def layout(op: Op, sources: list[Tensor], result: Tensor, inputs: list[Array]) -> Array:
    """Same logical values: the oracle knows no quads."""
    return inputs[0]


def reshape(op: Op, sources: list[Tensor], result: Tensor, inputs: list[Array]) -> Array:
    """Same values in row-major order."""
    return inputs[0].reshape(result.dims)


def transpose(op: Op, sources: list[Tensor], result: Tensor, inputs: list[Array]) -> Array:
    """Output dim i is input dim perm[i]."""
    order = [_integer(op, f"perm{i}") for i in range(inputs[0].ndim)]
    return np.ascontiguousarray(inputs[0].transpose(order))


FUNCTIONS: dict[str, Function] = {
    "quantize": quantize,
    "dequantize": dequantize,
    "conv": conv,
    "depthwise": depthwise,
    "add": add,
    "mul": mul,
    "avg_pool": avg_pool,
    "max_pool": max_pool,
    "concat": concat,
    "pad": pad,
    "resize": resize,
    "softmax": softmax_f32,
    "table": table,
    "layout": layout,
    "reshape": reshape,
    "transpose": transpose,
}
assert list(FUNCTIONS) == [op.name for op in OPERATORS]
