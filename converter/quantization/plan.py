"""The quantized network as data: what lowering writes, what pruning and bias correction change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.ir import Node
from lacewing.converter.quantization.parameters import Quantization
from lacewing.converter.quantization.weights import fit_bias, weight_scales

Array = npt.NDArray[Any]


@dataclass
class LayerPlan:
    """One conv or gemm. ``keep`` marks the blocks that stay; None keeps all (dense)."""

    weight: Array  # [O, C/g, kh, kw] (gemm: [O, K]) float32; dropped blocks are zero
    bias: Array  # [O] float64
    block_rows: int = 4
    keep: npt.NDArray[np.bool_] | None = None  # [rows][K4]
    dense_reason: str = ""  # why nothing was pruned, for the report
    scales: Array | None = None  # [O] float64: of the grid that the weights lie on; None: derived from them

    @staticmethod
    def of(node: Node) -> LayerPlan:
        """The layer as the float network has it."""
        return LayerPlan(node.weights["weight"].copy(), node.weights["bias"].astype(np.float64))

    def weight_scales(self, input_scale: float) -> Array:
        """[O] float64: what a level of each output channel's int8 weights is worth."""
        if self.scales is None:
            return weight_scales(self.weight, self.bias, input_scale)
        return fit_bias(self.scales, self.bias, input_scale)


@dataclass
class QuantizationPlan:
    """Everything that lowering needs beyond the graph."""

    float_values: set[str]
    values: dict[str, Quantization]  # of every value, also of float ones that are read as u7 somewhere
    layers: dict[str, LayerPlan] = field(default_factory=dict)  # by node name
    dither: dict[str, Array] = field(
        default_factory=dict
    )  # value -> [C] steps that its layer adds before it rounds
    repeats: dict[str, list[tuple[int, int]]] = field(
        default_factory=dict
    )  # value -> (channel, whose copy it is)

    def is_float(self, value: str) -> bool:
        """Whether ``value`` is computed as float32."""
        return value in self.float_values
