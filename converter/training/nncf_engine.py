"""The quantized network trained with NNCF's fake quantizers, and read back into a plan of the engine's integers.

NNCF computes in float32: a value is rounded to its 128 levels and a weight to its 255, everything between is real
arithmetic. It leaves biases in float; the engine rounds them to whole steps of the sum, so they are rounded here, which
is most of the difference. What remains are sums within float32's rounding of a tie, and bilinear weights. So training
sees NNCF's numbers, and evaluation the engine's, of the plan that is read from NNCF's parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lacewing.converter.ir import Graph, Node
from lacewing.converter.quantization.forms import reads_u7
from lacewing.converter.quantization.plan import LayerPlan, QuantizationPlan
from lacewing.converter.quantization.sharing import MOVES
from lacewing.converter.training.network import NOTHING, key, run_nodes
from lacewing.converter.training.nncf_quantizers import (
    Decided,
    decide,
    read_value,
    value_quantizer,
    value_range,
    weight_step,
)
from lacewing.converter.training.operators import OPERATORS, clamp
from lacewing.converter.training.quantized import QuantizedNetwork
from lacewing.converter.training.rounding import rounded
from lacewing.format.description import ACTIVATION_MAX

Array = npt.NDArray[Any]


class NncfNetwork(QuantizedNetwork):
    """A canonical graph with NNCF's quantizers at the engine's places: every u7 value, and every layer's weights.

    plan: as ``assign`` gives it; its values stand where NNCF placed no quantizer, and for network inputs, whose scales
    stay. inputs: {name: [N, ...] f32}, what NNCF calibrates on. Values that share a quantization share a quantizer,
    over all that NNCF's ranges for them span. Raises OptionError without NNCF, and UnsupportedModelError.
    """

    def __init__(self, graph: Graph, plan: QuantizationPlan, inputs: Mapping[str, Array]) -> None:
        super().__init__(graph, plan)
        self.log_scales.requires_grad_(False)
        decided = decide(graph, inputs)
        self.weight_quantizers = nn.ModuleDict(
            {key(n, "weight"): decided.weights[n.name] for n in self.layers()}
        )
        self.value_quantizers = nn.ModuleDict()  # by the number of the set of values that share it
        read = {v for n in graph.nodes if reads_u7(n, plan.float_values) for v in n.inputs}
        rounded = read | {v for v in self._sets if not plan.is_float(v)}
        for number in sorted({self._sets[v] for v in rounded}):
            self.value_quantizers[str(number)] = self._shared(number, decided)

    def _shared(self, number: int, decided: Decided) -> nn.Module:
        members = [v for v, i in self._sets.items() if i == number]
        ranges = [decided.ranges[v] for v in members if v in decided.ranges]
        fixed = not self._buffer("_learns")[number]
        if fixed or not ranges:
            ranges = [self._plan.values[members[0]].range]
        quantizer = value_quantizer((min(low for low, _ in ranges), max(high for _, high in ranges)))
        return quantizer.requires_grad_(False) if fixed else quantizer

    def forward(self, inputs: Mapping[str, Tensor], wanted: Mapping[str, int] = NOTHING) -> dict[str, Tensor]:
        """{value: [N, ...] f32}: with NNCF's arithmetic in training, the engine's bits in evaluation."""
        if not self.training:
            return super().forward(inputs, wanted)
        return run_nodes(self.graph, inputs, wanted, self._run)

    def _run(self, node: Node, reals: list[Tensor]) -> Tensor:
        inputs = [self._as_read(node, v, x) for v, x in zip(node.inputs, reals, strict=True)]
        if node.name in self._plan.layers:
            quantizer = self.weight_quantizers[key(node, "weight")]
            step = self._step(node.inputs[0]).detach() * weight_step(quantizer)
            bias = rounded(self.weight(node, "bias") / step) * step
            weights = {"weight": quantizer(self.weight(node)), "bias": bias}
        else:
            weights = {k: torch.from_numpy(a).to(inputs[0]) for k, a in node.weights.items()}
        result = OPERATORS[node.op](node, weights, inputs)
        if "clip" in node.attrs:
            result = clamp(result, *node.attrs["clip"])
        moved = node.op in MOVES and node.op != "resize"  # its levels are its input's
        return result if moved or self._plan.is_float(node.output) else self._rounded(node.output, result)

    def _as_read(self, node: Node, value: str, real: Tensor) -> Tensor:
        late = self._plan.is_float(value) and reads_u7(node, self._plan.float_values)
        return self._rounded(value, real) if late else real

    def _rounded(self, value: str, real: Tensor) -> Tensor:
        result = self.value_quantizers[str(self._sets[value])](real)
        assert isinstance(result, Tensor)
        return result

    def scales(self) -> dict[str, Tensor]:
        """The step of every value, 0-dimensional f32, with gradients but for network inputs."""
        given = {v: torch.tensor(q.scale, device=self.device) for v, q in self._plan.values.items()}
        return {
            v: self._step(v) if str(i) in self.value_quantizers else given[v] for v, i in self._sets.items()
        }

    def _step(self, value: str) -> Tensor:
        low, high = value_range(self.value_quantizers[str(self._sets[value])])
        return (high - low) / ACTIVATION_MAX

    def value_plan(self) -> QuantizationPlan:
        """The plan with NNCF's scales and zero points as they are now; layers as they were given."""
        learns = self._buffer("_learns").tolist()
        found = {int(i): read_value(q) for i, q in self.value_quantizers.items() if learns[int(i)]}
        old = self._plan.values
        values = {v: found.get(i, old[v]) for v, i in self._sets.items()}
        return replace(self._plan, values={**old, **values})

    def _layer_plan(self, node: Node, plan: QuantizationPlan) -> LayerPlan:
        quantizer = self.weight_quantizers[key(node, "weight")]
        steps = weight_step(quantizer).cpu().double().numpy()
        with torch.no_grad():
            real = quantizer(self.weight(node)).cpu().double().contiguous().numpy()
        per_channel = steps.reshape(-1, *([1] * (real.ndim - 1)))
        # NNCF's reals are a rounding of float32 away from whole steps.
        weight = (np.rint(real / per_channel) * per_channel).astype(np.float32)
        bias = self.weight(node, "bias").detach().cpu().double().numpy()
        return replace(self._plan.layers[node.name], weight=weight, bias=bias, scales=steps)
