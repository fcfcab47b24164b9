"""What a layer costs on a device, in time and bytes, before anything is pruned or quantized."""

from __future__ import annotations

import functools
from typing import NamedTuple

from lacewing.converter.ir import Graph
from lacewing.converter.lowering.builder import printable
from lacewing.converter.lowering.lower import lower
from lacewing.converter.quantization.forms import float_values
from lacewing.converter.quantization.parameters import Quantization
from lacewing.converter.quantization.plan import LayerPlan, QuantizationPlan
from lacewing.converter.quantization.sharing import SharedQuantization
from lacewing.converter.sparsity.obs import Block
from lacewing.format.model import Model, Op, align, ceil_div
from lacewing.profiles.profile import Profile
from lacewing.profiles.work import Conv, conv_sizes


class Price(NamedTuple):
    """Of one operator: predicted time, and bytes of its part of the file's data."""

    nanoseconds: float
    bytes: int

    def plus(self, other: Price) -> Price:
        """Of both operators."""
        return Price(self.nanoseconds + other.nanoseconds, self.bytes + other.bytes)


class Prices:
    """Prices of a float network's layers by node name, and of everything else together, on one device."""

    def __init__(self, graph: Graph, profile: Profile) -> None:
        self.profile = profile
        model = _dense(graph)
        layers = {printable(n.name): n.name for n in graph.nodes if n.op in ("conv", "gemm")}
        self._dense: dict[str, Price] = {}
        self._sizes: dict[str, Conv] = {}
        self.rest = Price(0.0, 0)
        for op in model.ops:
            price = Price(profile.op(model, op), _data_bytes(op))
            if op.name not in layers:
                self.rest = self.rest.plus(price)
                continue
            self._dense[layers[op.name]] = price
            if op.kind == "conv":
                self._sizes[layers[op.name]] = conv_sizes(model, op)

    def whole(self) -> Price:
        """The network with all its weights."""
        return functools.reduce(Price.plus, self._dense.values(), self.rest)

    def dense(self, name: str) -> Price:
        """The layer with all its weights, or whatever a layer that is never pruned becomes."""
        return self._dense[name]

    def sparse(self, name: str, block: Block, kept: int) -> Price:
        """The layer with ``kept`` of its blocks."""
        conv = self._sizes[name]
        time = self.profile.conv(conv, str(block), kept)
        rows = ceil_div(conv.outputs, block.rows)
        channels = align(4 * rows * block.rows)  # bytes of bias or scale
        mask = align(rows * ceil_div(conv.depth, 8))
        return Price(time, mask + align(kept * block.rows * block.columns) + 2 * channels)

    def pruned(self, name: str, block: Block, share: float) -> Price:
        """The layer without ``share`` of its blocks."""
        blocks = self.blocks(name, block)
        return self.sparse(name, block, blocks - round(share * blocks))

    def blocks(self, name: str, block: Block) -> int:
        """How many blocks the layer has; its rows must divide into such blocks."""
        return self._sizes[name].blocks(str(block))


def _dense(graph: Graph) -> Model:
    """The file's model with all weights and made-up scales: no operator's time depends on them, but where values of two
    scales meet stands an operator of its own."""
    floats = float_values(graph)
    sets = SharedQuantization(graph, floats).members().values()
    plan = QuantizationPlan(
        floats,
        {value: Quantization(1.0 + i / len(sets), 0) for i, members in enumerate(sets) for value in members},
        {n.name: LayerPlan.of(n) for n in graph.nodes if n.op in ("conv", "gemm")},
    )
    return lower(graph, plan)


def _data_bytes(op: Op) -> int:
    return sum(align(array.nbytes) for array in op.data.values())
