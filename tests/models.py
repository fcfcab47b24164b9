"""Small valid models for tests: a builder with one method per operator, and seeded random networks.

Deterministic in its seed. ``model_cases.py`` uses it to cover every operator and attribute; ``random_inputs`` makes
inputs that reach both ends of every range.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.format import Model, Op, Tensor
from lacewing.format.description import ENCODINGS, QUAD, RESIZE_MODES
from lacewing.format.model import ceil_div

Array = npt.NDArray[Any]
Pads = tuple[int, int, int, int]  # top, left, bottom, right
NO_PADS: Pads = (0, 0, 0, 0)


class Builder:
    """Adds operators to a model; every method returns the index of the tensor it made. Seeded by ``seed``."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.model = Model()

    # Tensors

    def tensor(self, dtype: str, layout: str, dims: tuple[int, ...], like: int | None = None) -> int:
        """A tensor with random quantization, or that of tensor ``like``."""
        scale, zero_point = 0.0, 0
        if dtype == "u7":
            scale = float(np.float32(self.rng.uniform(0.01, 0.2)))
            zero_point = int(self.rng.choice([0, 127, self.rng.integers(20, 108)], p=[0.15, 0.05, 0.8]))
        if like is not None:
            scale, zero_point = self.model.tensors[like].scale, self.model.tensors[like].zero_point
        name = f"t{len(self.model.tensors)}"
        self.model.tensors.append(Tensor(name, dtype, layout, dims, scale, zero_point))
        return len(self.model.tensors) - 1

    def input(self, dims: tuple[int, ...], dtype: str = "f32", like: int | None = None) -> int:
        """A graph input."""
        index = self.tensor(dtype, "plain", dims, like)
        self.model.inputs.append(index)
        return index

    def image(self, channels: int, height: int, width: int) -> int:
        """A float graph input, quantized into quads."""
        return self.quantize(self.input((1, channels, height, width)))

    def dims(self, index: int) -> tuple[int, ...]:
        """Logical dims of a tensor."""
        return self.model.tensors[index].dims

    def finish(self) -> Model:
        """Makes every unread tensor a graph output (through a layout if it is in quads); returns the model."""
        read = {i for op in self.model.ops for i in op.inputs}
        for index in range(len(self.model.tensors)):
            if index not in read:
                if self.model.tensors[index].layout == "quads":
                    index = self.layout(index)
                self.model.outputs.append(index)
        return self.model

    def _op(
        self, kind: str, inputs: list[int], output: int, data: dict[str, Array], **attributes: Any
    ) -> int:
        name = f"{kind}{len(self.model.ops)}"
        self.model.ops.append(Op(kind, name, inputs, output, attributes, data))
        return output

    def _clamp(self) -> dict[str, int]:
        if self.rng.random() < 0.5:
            return {"clamp_min": 0, "clamp_max": 127}
        return {"clamp_min": int(self.rng.integers(0, 30)), "clamp_max": int(self.rng.integers(90, 128))}

    # Operators

    def quantize(self, x: int) -> int:
        """Rank 4 goes to quads, other ranks stay plain."""
        dims = self.dims(x)
        y = self.tensor("u7", "quads" if len(dims) == 4 else "plain", dims)
        return self._op(
            "quantize", [x], y, {}, inverse_scale=float(np.float32(1 / self.model.tensors[y].scale))
        )

    def quantize_plain(self, x: int) -> int:
        """Stays plain at any rank."""
        y = self.tensor("u7", "plain", self.dims(x))
        return self._op(
            "quantize", [x], y, {}, inverse_scale=float(np.float32(1 / self.model.tensors[y].scale))
        )

    def dequantize(self, x: int) -> int:
        """Plain f32 of the same dims."""
        return self._op("dequantize", [x], self.tensor("f32", "plain", self.dims(x)), {})

    def conv(
        self,
        x: int,
        channels: int,
        kernel: tuple[int, int] = (1, 1),
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        pads: Pads = NO_PADS,
        block_rows: int = 4,
        density: float = 1.0,
        head: str = "u7",
        magnitude: int = 127,
    ) -> int:
        """A convolution with weights up to ``magnitude``. ``density`` below 1 is a bitmask; ``head`` u7, f32 or f32_flat."""
        _, c, h, w = self.dims(x)
        oh = _extent(h, kernel[0], stride[0], dilation[0], pads[0], pads[2])
        ow = _extent(w, kernel[1], stride[1], dilation[1], pads[1], pads[3])
        k4 = kernel[0] * kernel[1] * ceil_div(c, QUAD)
        rows = ceil_div(channels, block_rows)
        blocks = self._blocks(rows, k4, block_rows, channels, c, magnitude)
        data: dict[str, Array] = {"weights": blocks.reshape(-1, block_rows, QUAD)}
        if density < 1:
            blocks, data = self._sparsify(blocks, density)
        rowsum = blocks.astype(np.int64).sum(axis=(1, 3)).reshape(-1)
        data |= self._bias_and_scale(
            rowsum, np.abs(blocks.astype(np.int64)).sum(axis=(1, 3)).reshape(-1), x, channels
        )
        y, clamp = self._accumulated(channels, oh, ow, head), self._head_clamp(head)
        encoding = ENCODINGS["dense" if density == 1 else "bitmask"]
        window = _window(kernel, stride, dilation) | _pads(pads)
        return self._op("conv", [x], y, data, **window, block_rows=block_rows, encoding=encoding, **clamp)

    def _accumulated(self, channels: int, oh: int, ow: int, head: str) -> int:
        """The result of an accumulator: u7 quads, or float."""
        if head == "u7":
            return self.tensor("u7", "quads", (1, channels, oh, ow))
        return self.tensor("f32", "plain", (1, channels) if head == "f32_flat" else (1, channels, oh, ow))

    def _head_clamp(self, head: str) -> dict[str, int]:
        return self._clamp() if head == "u7" else {"clamp_min": 0, "clamp_max": 127}

    def _blocks(self, rows: int, k4: int, r: int, channels: int, inputs: int, magnitude: int) -> Array:
        """[rows][K4][R][4] i8, zero on padding channels, no block all zero."""
        c4 = ceil_div(inputs, QUAD)
        blocks = self.rng.integers(-magnitude, magnitude + 1, (rows, k4 // c4, c4, r, QUAD)).astype(np.int8)
        blocks[..., 0, 0] = np.where(blocks[..., 0, 0] == 0, magnitude, blocks[..., 0, 0])
        if inputs % QUAD:
            blocks[:, :, -1, :, inputs % QUAD :] = 0
        if channels % r:
            blocks[-1, :, :, channels % r :] = 0
        return blocks.reshape(rows, k4, r, QUAD)

    def _sparsify(self, blocks: Array, density: float) -> tuple[Array, dict[str, Array]]:
        """Drops blocks, at least one; the dense equivalent and the mask and weights parts."""
        rows, k4 = blocks.shape[:2]
        kept = self.rng.random((rows, k4)) < density
        kept[self.rng.integers(rows), self.rng.integers(k4)] = False
        bits = np.zeros((rows, ceil_div(k4, 8) * 8), bool)
        bits[:, :k4] = kept
        mask = np.packbits(bits, axis=1, bitorder="little")
        return blocks * kept[:, :, None, None], {"mask": mask, "weights": blocks[kept]}

    def _bias_and_scale(self, rowsum: Array, magnitude: Array, x: int, channels: int) -> dict[str, Array]:
        """[n] bias holding -z*sum(w), and a scale that spreads the accumulators over more than 0..127."""
        source = self.model.tensors[x]
        bias = -source.zero_point * rowsum + self.rng.integers(-2000, 2001, len(rowsum))
        scale = (
            self.rng.uniform(0.15, 1.5, len(rowsum))
            * 127
            / (np.sqrt(np.maximum(magnitude, 1) * 127) * 64 + 1)
        )
        exists = np.arange(len(rowsum)) < channels
        return {
            "bias": np.where(exists, bias, 0).astype(np.int32),
            "scale": np.where(exists, scale, 0).astype(np.float32),
        }

    def depthwise(
        self,
        x: int,
        kernel: tuple[int, int] = (3, 3),
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        pads: Pads = NO_PADS,
    ) -> int:
        """One filter per channel."""
        _, c, h, w = self.dims(x)
        taps, c4 = kernel[0] * kernel[1], ceil_div(c, QUAD)
        weights = self.rng.integers(-127, 128, (c4, taps, QUAD)).astype(np.int8)
        if c % QUAD:
            weights[-1, :, c % QUAD :] = 0
        wide = weights.astype(np.int64)
        data = {"weights": weights}
        data |= self._bias_and_scale(wide.sum(axis=1).reshape(-1), np.abs(wide).sum(axis=1).reshape(-1), x, c)
        oh = _extent(h, kernel[0], stride[0], dilation[0], pads[0], pads[2])
        ow = _extent(w, kernel[1], stride[1], dilation[1], pads[1], pads[3])
        y = self.tensor("u7", "quads", (1, c, oh, ow))
        return self._op(
            "depthwise", [x], y, data, **_window(kernel, stride, dilation), **_pads(pads), **self._clamp()
        )

    def add(self, a: int, b: int) -> int:
        """Residual add."""
        y = self.tensor("u7", self.model.tensors[a].layout, self.dims(a))
        m0, m1 = (float(np.float32(v)) for v in self.rng.uniform(0.1, 0.9, 2))
        return self._op("add", [a, b], y, {}, multiplier0=m0, multiplier1=m1, **self._clamp())

    def mul(self, a: int, b: int) -> int:
        """Elementwise product; b may be [1,C,1,1]."""
        y = self.tensor("u7", self.model.tensors[a].layout, self.dims(a))
        return self._op(
            "mul", [a, b], y, {}, multiplier=float(np.float32(self.rng.uniform(0.005, 0.05))), **self._clamp()
        )

    def avg_pool(
        self,
        x: int,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        pads: Pads,
        include_pad: int,
        head: str = "u7",
    ) -> int:
        """Average pooling; ``head`` as in ``conv``."""
        _, c, h, w = self.dims(x)
        taps = kernel[0] * kernel[1]
        one = include_pad or pads == NO_PADS
        counts = np.array([taps]) if one else np.arange(1, taps + 1)
        multipliers = (self.rng.uniform(0.5, 1.5) / counts).astype(np.float32)
        oh = _extent(h, kernel[0], stride[0], 1, pads[0], pads[2])
        ow = _extent(w, kernel[1], stride[1], 1, pads[1], pads[3])
        y = self._accumulated(c, oh, ow, head)
        window = _window(kernel, stride, None) | _pads(pads)
        data, clamp = {"multipliers": multipliers}, self._head_clamp(head)
        return self._op("avg_pool", [x], y, data, **window, include_pad=include_pad, **clamp)

    def global_pool(self, x: int, head: str = "u7") -> int:
        """Average over the whole image."""
        return self.avg_pool(x, self.dims(x)[2:], (1, 1), NO_PADS, 0, head)  # type: ignore[arg-type]

    def max_pool(self, x: int, kernel: tuple[int, int], stride: tuple[int, int], pads: Pads) -> int:
        """Max pooling."""
        _, c, h, w = self.dims(x)
        oh = _extent(h, kernel[0], stride[0], 1, pads[0], pads[2])
        ow = _extent(w, kernel[1], stride[1], 1, pads[1], pads[3])
        y = self.tensor("u7", "quads", (1, c, oh, ow), like=x)
        return self._op("max_pool", [x], y, {}, **_window(kernel, stride, None), **_pads(pads))

    def concat(self, sources: list[int], axis: int) -> int:
        """Sources must share quantization: see ``sibling``."""
        first = self.model.tensors[sources[0]]
        dims = list(first.dims)
        dims[axis] = sum(self.dims(s)[axis] for s in sources)
        y = self.tensor(first.dtype, first.layout, tuple(dims), like=sources[0])
        return self._op("concat", list(sources), y, {}, axis=axis)

    def pad(self, x: int, pads: Pads) -> int:
        """Spatial padding."""
        _, c, h, w = self.dims(x)
        y = self.tensor("u7", "quads", (1, c, h + pads[0] + pads[2], w + pads[1] + pads[3]), like=x)
        return self._op("pad", [x], y, {}, **_pads(pads))

    def resize(self, x: int, size: tuple[int, int], mode: str) -> int:
        """Half-pixel coordinates in 1/256, clamped to the image."""
        _, c, h, w = self.dims(x)
        data: dict[str, Array] = {}
        for axis, source, target in (("row", h, size[0]), ("col", w, size[1])):
            position = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
            low = np.floor(position).astype(np.uint16)
            if mode == "nearest":
                data[f"{axis}_low"] = np.rint(position).astype(np.uint16)
            else:
                data[f"{axis}_low"] = low
                data[f"{axis}_high"] = np.minimum(low + 1, source - 1).astype(np.uint16)
                data[f"{axis}_weight"] = np.rint((position - low) * 256).astype(np.uint16)
        y = self.tensor("u7", "quads", (1, c, *size), like=x)
        return self._op("resize", [x], y, data, mode=RESIZE_MODES[mode])

    def table(self, x: int, per_channel: bool = False) -> int:
        """A random look-up table, or one per channel."""
        channels = self.dims(x)[1] if per_channel else 1
        y = self.tensor("u7", self.model.tensors[x].layout, self.dims(x))
        data = {"table": self.rng.integers(0, 128, (channels, 128)).astype(np.uint8)}
        return self._op("table", [x], y, data, channels=channels)

    def softmax(self, x: int) -> int:
        """Over the last axis."""
        return self._op("softmax", [x], self.tensor("f32", "plain", self.dims(x)), {})

    def layout(self, x: int) -> int:
        """Quads to plain, or plain to quads."""
        other = "plain" if self.model.tensors[x].layout == "quads" else "quads"
        return self._op("layout", [x], self.tensor("u7", other, self.dims(x), like=x), {})

    def reshape(self, x: int, dims: tuple[int, ...]) -> int:
        """Plain, same number of elements."""
        return self._op("reshape", [x], self.tensor(self.model.tensors[x].dtype, "plain", dims, like=x), {})

    def transpose(self, x: int, perm: tuple[int, ...]) -> int:
        """Plain; unused slots of perm are 0."""
        dims = tuple(self.dims(x)[p] for p in perm)
        y = self.tensor(self.model.tensors[x].dtype, "plain", dims, like=x)
        slots = {f"perm{i}": perm[i] if i < len(perm) else 0 for i in range(4)}
        return self._op("transpose", [x], y, {}, **slots)

    def sibling(self, x: int) -> int:
        """A tensor of the same quantization and size as quads ``x``: its 1x1 max pooling."""
        return self.max_pool(x, (1, 1), (1, 1), NO_PADS)


def _extent(size: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> int:
    return (size + before + after - (dilation * (kernel - 1) + 1)) // stride + 1


def _window(
    kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] | None
) -> dict[str, int]:
    window = {"kernel_h": kernel[0], "kernel_w": kernel[1], "stride_h": stride[0], "stride_w": stride[1]}
    return window if dilation is None else window | {"dilation_h": dilation[0], "dilation_w": dilation[1]}


def _pads(pads: Pads) -> dict[str, int]:
    return {
        f"pad_{side}": value for side, value in zip(("top", "left", "bottom", "right"), pads, strict=True)
    }


def random_inputs(model: Model, seed: int) -> dict[str, Array]:
    """Inputs for every graph input, by name: u7 over the whole range; f32 mostly normal, some huge."""
    rng = np.random.default_rng(seed)
    inputs: dict[str, Array] = {}
    for index in model.inputs:
        t = model.tensors[index]
        if t.dtype == "u7":
            inputs[t.name] = rng.integers(0, 128, t.dims).astype(np.uint8)
        else:
            values = rng.normal(0, 3, t.dims).astype(np.float32)
            inputs[t.name] = np.where(rng.random(t.dims) < 0.02, values * np.float32(1e6), values)
    return inputs
