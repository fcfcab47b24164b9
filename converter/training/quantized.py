"""The quantized network as a trainable torch module: forward with the engine's integers, straight-through gradients.

Weights, biases and the scales of activations are learned (scales as in "Learned Step Size Quantization", arXiv
1902.08153, each as its logarithm); zero points and the scales of network inputs stay. In training mode gradients flow; in
evaluation mode the results are the engine's, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from lacewing.converter.errors import TrainingError
from lacewing.converter.ir import Graph, Node
from lacewing.converter.quantization.parameters import Quantization
from lacewing.converter.quantization.plan import LayerPlan, QuantizationPlan
from lacewing.converter.quantization.sharing import SharedQuantization
from lacewing.converter.training.arithmetic import Arithmetic, Exact, Learned, weight_steps
from lacewing.converter.training.network import NOTHING, check_trainable, counts, is_constant, key
from lacewing.converter.training.quantized_operators import OPERATORS, Values

LAYERS = ("conv", "gemm")
_SMALLEST_STEP, _LARGEST_STEP = 1e-30, 1e30  # of activations: beyond, products of scales leave float32


class QuantizedNetwork(nn.Module):
    """A canonical graph and its plan, on whatever device the module is moved to.

    ``forward`` takes and gives float32 as the engine does; of inner values that are ``wanted`` it gives the reals of so
    many of the first samples.
    """

    def __init__(self, graph: Graph, plan: QuantizationPlan) -> None:
        super().__init__()
        check_trainable(graph)
        self.graph, self._plan = graph, plan
        for node in self.layers():
            layer = plan.layers[node.name]
            for name, array in (("weight", layer.weight), ("bias", layer.bias)):
                tensor = torch.from_numpy(array).float().clone()
                if is_constant(node, name):
                    self.register_buffer(key(node, name), tensor)
                else:
                    self.register_parameter(key(node, name), nn.Parameter(tensor))
        members = SharedQuantization(graph, plan.float_values).members().values()
        self._sets = {v: i for i, values in enumerate(members) for v in values}
        first = {self._sets[v]: v for v in reversed(self._sets)}
        steps = [plan.values[first[i]].scale for i in range(len(first))]
        self.log_scales = nn.Parameter(torch.zeros(len(steps)))  # [sets], of the ratio to the given scale
        self.register_buffer("_given", torch.tensor(steps))
        inputs = {self._sets[v] for v in graph.inputs}
        self.register_buffer("_learns", torch.tensor([float(i not in inputs) for i in range(len(steps))]))
        self._last_use = {v: i for i, n in enumerate(graph.nodes) for v in n.inputs}

    def layers(self) -> list[Node]:
        """The conv and gemm nodes, in order."""
        return [n for n in self.graph.nodes if n.op in LAYERS]

    def weight(self, node: Node, name: str = "weight") -> Tensor:
        """A layer's float weight or bias, the trained tensor itself."""
        found = getattr(self, key(node, name))
        assert isinstance(found, Tensor)
        return found

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.log_scales.device

    def forward(self, inputs: Mapping[str, Tensor], wanted: Mapping[str, int] = NOTHING) -> dict[str, Tensor]:
        """{value: [N, ...] f32} of the outputs and of what is ``wanted`` for {input name: [N, ...] f32}."""
        arithmetic: Arithmetic = Learned(self) if self.training else Exact(self)
        kept = counts(self.graph, inputs, wanted)
        known = Values(arithmetic, {v: inputs[v] for v in self.graph.inputs})
        for i, node in enumerate(self.graph.nodes):
            OPERATORS[node.op](known, node)
            known.forget(v for v in node.inputs if self._last_use[v] == i and v not in kept)
        return {value: known.first_real(value, count) for value, count in kept.items()}

    def scales(self) -> dict[str, Tensor]:
        """The step of every value, 0-dimensional f32; with gradients but for network inputs."""
        steps = self._buffer("_given") * torch.exp(self.log_scales * self._buffer("_learns"))
        return {value: steps[i] for value, i in self._sets.items()}

    def value_plan(self) -> QuantizationPlan:
        """The plan with the scales as they are now; layers as they were given. Raises TrainingError where one ran away."""
        logs, learns, given = (
            t.detach().cpu().double().numpy()
            for t in (self.log_scales, self._buffer("_learns"), self._buffer("_given"))
        )
        with np.errstate(over="ignore"):
            steps = (given * np.exp(logs * learns)).astype(np.float32)
        if not ((steps >= _SMALLEST_STEP) & (steps <= _LARGEST_STEP)).all():
            raise TrainingError(
                "the scales of activations ran away in the quantized stage: lower the recipe's quantized_learning_rate"
            )
        old = self._plan.values
        values = {v: Quantization(float(steps[i]), old[v].zero_point) for v, i in self._sets.items()}
        return replace(self._plan, values={**old, **values})

    def to_plan(self) -> QuantizationPlan:
        """What ``lower`` turns into the file that computes what this network computes in evaluation mode."""
        plan = self.value_plan()
        plan.layers = {node.name: self._layer_plan(node, plan) for node in self.layers()}
        return plan

    def _layer_plan(self, node: Node, plan: QuantizationPlan) -> LayerPlan:
        weight, bias = (self.weight(node, name).detach().cpu() for name in ("weight", "bias"))
        source = torch.tensor(plan.values[node.inputs[0]].scale, dtype=torch.float64)
        steps = weight_steps(weight.double(), bias.double(), source)
        given = self._plan.layers[node.name]
        contiguous = weight.contiguous().numpy().copy()
        return replace(given, weight=contiguous, bias=bias.double().numpy(), scales=steps.numpy())

    def _buffer(self, name: str) -> Tensor:
        found = getattr(self, name)
        assert isinstance(found, Tensor)
        return found
