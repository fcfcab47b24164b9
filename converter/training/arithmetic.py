"""The numbers that a quantized operator needs, in two ways: with gradients for training, exact for evaluation.

Both describe docs/numerics.md. ``Learned`` derives integers, multipliers and tables from float parameters with
straight-through rounding; ``Exact`` takes them from the very functions that write the ``.lace`` file and adds in a type
that cannot round, so that its results are the engine's bits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lacewing.converter.ir import Node
from lacewing.converter.lowering.builder import Builder
from lacewing.converter.lowering.conv import integers
from lacewing.converter.lowering.elementwise import tables_of
from lacewing.converter.lowering.tables import rescale_table
from lacewing.converter.quantization.plan import QuantizationPlan
from lacewing.converter.training.exact_softmax import exact_softmax
from lacewing.converter.training.operators import OPERATORS, convolve, per_channel
from lacewing.converter.training.rounding import rounded, to_levels
from lacewing.format.description import ACTIVATION_MAX, WEIGHT_MAX

if TYPE_CHECKING:
    from lacewing.converter.training.quantized import QuantizedNetwork

_FLOAT32_EXACT = 1 << 24  # integers below it add exactly in float32, in any order
_FAR = 1024.0  # levels beyond which ``quantize`` clamps before it rounds


@dataclass(frozen=True)
class Layer:
    """A conv's or gemm's constants: int8 weights and int32 biases as floats, float32 multipliers, [O] each."""

    weight: Tensor  # [O, C/g, kh, kw] or [O, K]
    bias: Tensor  # [O], without the input's zero point
    multiplier: Tensor  # [O]


class Arithmetic(ABC):
    """What the quantized operators ask for. Levels are float tensors that hold integers 0..127."""

    plan: QuantizationPlan  # zero points, and scales as they are now

    def zero_point(self, value: str) -> int:
        """The level that stands for zero."""
        return self.plan.values[value].zero_point

    def clamp_levels(self, node: Node) -> tuple[int, int]:
        """The levels that the node's fused clamp leaves."""
        low, high = node.attrs.get("clip", (-np.inf, np.inf))
        q = self.plan.values[node.output]
        return q.level(float(low)), q.level(float(high))

    @abstractmethod
    def scale(self, value: str) -> Tensor:
        """The value's step, 0-dimensional f32."""

    @abstractmethod
    def quotient(self, *factors: tuple[str, int]) -> Tensor:
        """The product of the scales of values to the powers 1 or -1, rounded to float32 once."""

    @abstractmethod
    def pool_multiplier(self, node: Node, counts: Tensor) -> Tensor:
        """What turns the sums of a pool into its output's levels (or reals); counts: taps of each window."""

    @abstractmethod
    def quantize(self, value: str, real: Tensor) -> Tensor:
        """Levels of a float32 value."""

    @abstractmethod
    def layer(self, node: Node) -> Layer:
        """The constants of a conv or gemm."""

    @abstractmethod
    def accumulate(self, node: Node, x: Tensor, layer: Layer) -> Tensor:
        """The layer's sums as float32; x: levels without their zero point."""

    @abstractmethod
    def table(self, node: Node, levels: Tensor) -> Tensor:
        """A function of one value: levels to levels."""

    @abstractmethod
    def rescale(self, levels: Tensor, source: str, target: str) -> Tensor:
        """The same reals in the levels of ``target``."""

    @abstractmethod
    def softmax(self, node: Node, real: Tensor) -> Tensor:
        """Softmax over the node's axis."""


class Learned(Arithmetic):
    """With gradients for weights, biases and scales; equal to the engine but for roundings of constants."""

    def __init__(self, network: QuantizedNetwork) -> None:
        self._network = network
        self.plan = network.value_plan()
        self._scales = network.scales()

    def scale(self, value: str) -> Tensor:
        return self._scales[value]

    def quotient(self, *factors: tuple[str, int]) -> Tensor:
        result = torch.ones((), device=self._network.device)
        for value, power in factors:
            result = result * self._scales[value] if power > 0 else result / self._scales[value]
        return result

    def pool_multiplier(self, node: Node, counts: Tensor) -> Tensor:
        target = 1.0 if self.plan.is_float(node.output) else self.scale(node.output)
        return self.scale(node.inputs[0]) / (counts * target)

    def quantize(self, value: str, real: Tensor) -> Tensor:
        return _saturated(real / self.scale(value), self.zero_point(value))

    def layer(self, node: Node) -> Layer:
        weight, bias = self._network.weight(node), self._network.weight(node, "bias")
        source = self.scale(node.inputs[0])
        steps = weight_steps(weight.detach(), bias.detach(), source.detach())
        levels = rounded(weight / steps.reshape(-1, *([1] * (weight.dim() - 1))))
        target = 1.0 if self.plan.is_float(node.output) else self.scale(node.output)
        return Layer(levels, rounded(bias / (source * steps)), source * steps / target)

    def accumulate(self, node: Node, x: Tensor, layer: Layer) -> Tensor:
        return convolve(node, x, layer.weight, layer.bias)

    def table(self, node: Node, levels: Tensor) -> Tensor:
        source = node.inputs[0]
        real = (levels - self.zero_point(source)) * self.scale(source)
        weights = {k: torch.from_numpy(v).to(real) for k, v in node.weights.items()}
        return self.quantize(node.output, OPERATORS[node.op](node, weights, [real]))

    def rescale(self, levels: Tensor, source: str, target: str) -> Tensor:
        ratio = self.quotient((source, 1), (target, -1))
        return _saturated((levels - self.zero_point(source)) * ratio, self.zero_point(target))

    def softmax(self, node: Node, real: Tensor) -> Tensor:
        return torch.softmax(real, int(node.attrs["axis"]))


class Exact(Arithmetic):
    """The constants of the file; sums in float32 where they cannot round, else in float64."""

    def __init__(self, network: QuantizedNetwork) -> None:
        self.plan = network.to_plan()
        self._device = network.device
        self._builder = Builder(network.graph, self.plan)
        self._layers: dict[str, Layer] = {}

    def scale(self, value: str) -> Tensor:
        return torch.tensor(self.plan.values[value].scale, dtype=torch.float32, device=self._device)

    def quotient(self, *factors: tuple[str, int]) -> Tensor:
        result = 1.0
        for value, power in factors:
            scale = self.plan.values[value].scale
            result = result * scale if power > 0 else result / scale
        return torch.tensor(result, dtype=torch.float32, device=self._device)

    def pool_multiplier(self, node: Node, counts: Tensor) -> Tensor:
        target = 1.0 if self.plan.is_float(node.output) else self.plan.values[node.output].scale
        return (self.plan.values[node.inputs[0]].scale / (counts.double() * target)).float()

    def quantize(self, value: str, real: Tensor) -> Tensor:
        inverse = torch.tensor(1.0 / self.plan.values[value].scale, dtype=torch.float32, device=self._device)
        return _saturated(real * inverse, self.zero_point(value))

    def layer(self, node: Node) -> Layer:
        if node.name not in self._layers:
            weight, bias, multiplier = integers(self._builder, node, self.plan.layers[node.name])
            zero_point = self.zero_point(node.inputs[0])
            sums = weight.reshape(len(weight), -1).astype(np.int64).sum(axis=1)
            # The file's bias holds the zero point, which here has left the levels already.
            bare = bias.astype(np.int64) + zero_point * sums
            wide = (
                int(np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1).max())
                * ACTIVATION_MAX
            )
            small = wide + int(np.abs(bare).max()) < _FLOAT32_EXACT and self._device.type == "cpu"
            kind = torch.float32 if small else torch.float64
            self._layers[node.name] = Layer(
                torch.from_numpy(weight).to(self._device, kind),
                torch.from_numpy(bare).to(self._device, kind),
                torch.from_numpy(multiplier).to(self._device),
            )
        return self._layers[node.name]

    def accumulate(self, node: Node, x: Tensor, layer: Layer) -> Tensor:
        # Bias apart: a convolution may add it at any point.
        sums = convolve(node, x.to(layer.weight.dtype), layer.weight, None)
        return (sums + per_channel(layer.bias, sums)).to(torch.float32)

    def table(self, node: Node, levels: Tensor) -> Tensor:
        q = self.plan.values
        return self._looked_up(tables_of(node, q[node.inputs[0]], q[node.output]), levels)

    def rescale(self, levels: Tensor, source: str, target: str) -> Tensor:
        return self._looked_up(
            rescale_table(self.plan.values[source], self.plan.values[target])[None], levels
        )

    def softmax(self, node: Node, real: Tensor) -> Tensor:
        axis = int(node.attrs["axis"])
        return exact_softmax(real.transpose(axis, -1).contiguous()).transpose(axis, -1)

    def _looked_up(self, tables: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], levels: Tensor) -> Tensor:
        entries = torch.from_numpy(tables.astype(np.float32)).to(self._device)  # [channels or 1][128]
        channel = torch.arange(len(entries), device=self._device)
        return entries[per_channel(channel, levels), levels.to(torch.int64)]


def weight_steps(weight: Tensor, bias: Tensor, source: Tensor) -> Tensor:
    """[O]: the step of each output channel's weights: the largest is level 127 and the bias fits 24 bits."""
    largest = weight.reshape(len(weight), -1).abs().amax(dim=1) / WEIGHT_MAX
    by_bias = bias.abs() / (source * _FLOAT32_EXACT)
    steps = torch.maximum(largest, by_bias)
    return torch.where(steps > 1e-30, steps, torch.ones_like(steps))


def _saturated(levels: Tensor, zero_point: int) -> Tensor:
    return to_levels(torch.clamp(levels, -_FAR, _FAR), zero_point, 0, ACTIVATION_MAX)
