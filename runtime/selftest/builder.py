"""Builds valid models with random weights; the same bytes on every machine and with every numpy.

``RandomState`` is numpy's frozen generator: its stream never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.format import Model, Op, Tensor
from lacewing.format.description import ENCODINGS, QUAD, RESIZE_MODES
from lacewing.format.model import ceil_div

Parts = dict[str, npt.NDArray[Any]]
Pads = tuple[int, int, int, int]  # top, left, bottom, right
NO_PADS: Pads = (0, 0, 0, 0)
_SIDES = ("pad_top", "pad_left", "pad_bottom", "pad_right")


class Builder:
    """Appends operators to a model; every method returns the index of the tensor that it made."""

    def __init__(self, seed: int) -> None:
        self.model = Model()
        self.random = np.random.RandomState(seed)

    def image(self, channels: int, size: int) -> int:
        """A float graph input [1, channels, size, size], quantized to quads."""
        index = self._tensor("f32", "plain", (1, channels, size, size))
        self.model.inputs.append(index)
        return self._op("quantize", [index], self._quads((channels, size, size)), {"inverse_scale": 64.0})

    def conv(
        self,
        source: int,
        channels: int,
        kernel: int,
        stride: int,
        block: int,
        sparsity: float,
        head: bool = False,
    ) -> int:
        """A convolution padded to keep the size; ``head`` leaves it as float32."""
        _, depth, height, width = self.model.tensors[source].dims
        pad = kernel // 2
        rows, c4 = ceil_div(channels, block), ceil_div(depth, QUAD)
        shape = (channels, *((n + 2 * pad - kernel) // stride + 1 for n in (height, width)))
        weights = np.zeros((rows, block, kernel * kernel, c4 * QUAD), np.int8)  # O, taps, I
        weights.reshape(rows * block, kernel * kernel, c4 * QUAD)[:channels, :, :depth] = self._weights(
            (channels, kernel * kernel, depth)
        )
        blocks = np.ascontiguousarray(
            weights.reshape(rows, block, kernel * kernel * c4, QUAD).transpose(0, 2, 1, 3)
        )  # [rows][K4][R][4]
        kept = self._mask(blocks, sparsity)
        data: Parts = {"mask": np.packbits(kept, axis=1, bitorder="little")} if sparsity else {}
        data |= {"weights": blocks[kept], **self._channels(channels, rows * block, depth * kernel * kernel)}
        encoding = ENCODINGS["bitmask" if sparsity else "dense"]
        attributes = self._window(kernel, stride, (pad,) * 4) | {"dilation_h": 1, "dilation_w": 1}
        attributes |= {"block_rows": block, "encoding": encoding, **self._clamp(not head)}
        result = self._tensor("f32", "plain", (1, *shape)) if head else self._quads(shape)
        return self._op("conv", [source], result, attributes, data)

    def depthwise(self, source: int, kernel: int, stride: int) -> int:
        """One filter per channel, padded to keep the size."""
        _, channels, height, width = self.model.tensors[source].dims
        pad, c4 = kernel // 2, ceil_div(channels, QUAD)
        shape = (channels, *((n + 2 * pad - kernel) // stride + 1 for n in (height, width)))
        weights = np.zeros((c4 * QUAD, kernel * kernel), np.int8)
        weights[:channels] = self._weights((channels, kernel * kernel))
        data: Parts = {"weights": np.ascontiguousarray(weights.reshape(c4, QUAD, -1).transpose(0, 2, 1))}
        data |= self._channels(channels, c4 * QUAD, kernel * kernel)
        attributes = self._window(kernel, stride, (pad,) * 4) | {"dilation_h": 1, "dilation_w": 1}
        return self._op("depthwise", [source], self._quads(shape), attributes | self._clamp(True), data)

    def add(self, a: int, b: int) -> int:
        """The residual sum."""
        attributes = {"multiplier0": 0.71875, "multiplier1": 0.5390625, **self._clamp(True)}
        return self._op("add", [a, b], self._like(a), attributes)

    def mul(self, a: int, b: int) -> int:
        """The product; ``b`` may be [1, C, 1, 1]."""
        return self._op("mul", [a, b], self._like(a), {"multiplier": 0.02734375, **self._clamp(True)})

    def pool(self, source: int, kernel: int, stride: int, pads: Pads = NO_PADS, average: bool = True) -> int:
        """Average (padded taps not counted) or max pooling."""
        _, channels, height, width = self.model.tensors[source].dims
        down = (height + pads[0] + pads[2] - kernel) // stride + 1
        across = (width + pads[1] + pads[3] - kernel) // stride + 1
        attributes = self._window(kernel, stride, pads)
        if not average:
            return self._op("max_pool", [source], self._same(source, (channels, down, across)), attributes)
        counts = range(1, kernel * kernel + 1) if any(pads) else [kernel * kernel]
        data = {"multipliers": np.array([1.25 / n for n in counts], np.float32)}
        attributes |= {"include_pad": 0, **self._clamp(False)}
        return self._op("avg_pool", [source], self._quads((channels, down, across)), attributes, data)

    def concat(self, a: int, b: int) -> int:
        """Joins channels; ``b`` must have the quantization of ``a``."""
        _, channels, height, width = self.model.tensors[a].dims
        shape = (channels + self.model.tensors[b].dims[1], height, width)
        return self._op("concat", [a, b], self._same(a, shape), {"axis": 1})

    def pad(self, source: int, pads: Pads) -> int:
        """Pads an image with its zero point."""
        _, channels, height, width = self.model.tensors[source].dims
        shape = (channels, height + pads[0] + pads[2], width + pads[1] + pads[3])
        return self._op("pad", [source], self._same(source, shape), dict(zip(_SIDES, pads, strict=True)))

    def resize(self, source: int, size: int, bilinear: bool) -> int:
        """Resizes to size x size; the sampling positions are random, but valid."""
        _, channels, height, width = self.model.tensors[source].dims
        data: Parts = {}
        for axis, length in (("row", height), ("col", width)):
            data[f"{axis}_low"] = np.sort(self.random.randint(0, length, size)).astype(np.uint16)
            if bilinear:
                data[f"{axis}_high"] = np.minimum(data[f"{axis}_low"] + 1, length - 1).astype(np.uint16)
                data[f"{axis}_weight"] = self.random.randint(0, 257, size).astype(np.uint16)
        mode = RESIZE_MODES["bilinear" if bilinear else "nearest"]
        return self._op("resize", [source], self._same(source, (channels, size, size)), {"mode": mode}, data)

    def table(self, source: int, per_channel: bool) -> int:
        """A random look-up table."""
        channels = self.model.tensors[source].dims[1] if per_channel else 1
        data = {"table": self.random.randint(0, 128, (channels, 128)).astype(np.uint8)}
        return self._op("table", [source], self._like(source), {"channels": channels}, data)

    def plain(self, source: int) -> int:
        """The same values in row-major order."""
        t = self.model.tensors[source]
        return self._op("layout", [source], self._tensor("u7", "plain", t.dims, t.scale, t.zero_point))

    def transpose(self, source: int, perm: tuple[int, int, int, int]) -> int:
        """Permutes the dims of a plain rank 4 tensor."""
        t = self.model.tensors[source]
        result = self._tensor(t.dtype, "plain", tuple(t.dims[i] for i in perm), t.scale, t.zero_point)
        return self._op("transpose", [source], result, {f"perm{i}": p for i, p in enumerate(perm)})

    def reshape(self, source: int, dims: tuple[int, ...]) -> int:
        """Other dims for the same values."""
        t = self.model.tensors[source]
        return self._op("reshape", [source], self._tensor(t.dtype, "plain", dims, t.scale, t.zero_point))

    def dequantize(self, source: int) -> int:
        """float32 of a u7 tensor."""
        return self._op("dequantize", [source], self._tensor("f32", "plain", self.model.tensors[source].dims))

    def softmax(self, source: int) -> int:
        """Over the last axis."""
        return self._op("softmax", [source], self._tensor("f32", "plain", self.model.tensors[source].dims))

    def output(self, tensor: int) -> None:
        """Makes a plain tensor a graph output."""
        self.model.outputs.append(tensor)

    def _op(
        self,
        kind: str,
        inputs: list[int],
        output: int,
        attributes: Mapping[str, float | int] | None = None,
        data: Mapping[str, npt.NDArray[Any]] | None = None,
    ) -> int:
        name = f"{kind}{len(self.model.ops)}"
        self.model.ops.append(Op(kind, name, inputs, output, dict(attributes or {}), dict(data or {})))
        return output

    def _tensor(
        self, dtype: str, layout: str, dims: tuple[int, ...], scale: float = 0.0, zero_point: int = 0
    ) -> int:
        self.model.tensors.append(
            Tensor(f"t{len(self.model.tensors)}", dtype, layout, dims, scale, zero_point)
        )
        return len(self.model.tensors) - 1

    def _quads(self, shape: tuple[int, ...], scale: float = 0.015625) -> int:
        return self._tensor("u7", "quads", (1, *shape), scale, int(self.random.randint(0, 128)))

    def _same(self, source: int, shape: tuple[int, ...]) -> int:
        t = self.model.tensors[source]
        return self._tensor("u7", t.layout, (1, *shape), t.scale, t.zero_point)

    def _like(self, source: int) -> int:
        return self._quads(self.model.tensors[source].dims[1:])

    def _weights(self, shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
        return self.random.randint(-127, 128, shape).astype(np.int8)

    def _mask(self, blocks: npt.NDArray[np.int8], sparsity: float) -> npt.NDArray[np.bool_]:
        kept = self.random.random_sample(blocks.shape[:2]) >= sparsity
        if sparsity:
            kept[0, 0] = False
            blocks[..., 0, 0][kept & ~blocks.any(axis=(2, 3))] = 1
        return kept

    def _channels(self, channels: int, padded: int, depth: int) -> Parts:
        bias, scale = np.zeros(padded, np.int32), np.zeros(padded, np.float32)
        bias[:channels] = self.random.randint(-4000, 4000, channels)
        # About one step per typical product sum, so that results spread over 0..127 and some clamp.
        scale[:channels] = (self.random.random_sample(channels) + 0.5) / (96 * np.sqrt(depth))
        return {"bias": bias, "scale": scale}

    def _window(self, kernel: int, stride: int, pads: tuple[int, ...]) -> dict[str, int]:
        window = {"kernel_h": kernel, "kernel_w": kernel, "stride_h": stride, "stride_w": stride}
        return window | dict(zip(_SIDES, pads, strict=True))

    def _clamp(self, inner: bool) -> dict[str, int]:
        low = int(self.random.randint(0, 20)) if inner else 0
        return {"clamp_min": low, "clamp_max": 120 if inner else 127}
