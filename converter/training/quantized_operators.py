"""Every canonical operator on u7 levels, in torch: docs/numerics.md once, for training and for evaluation alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from torch import Tensor

from lacewing.converter.ir import Node
from lacewing.converter.lowering.elementwise import TABLE_OPERATORS
from lacewing.converter.lowering.resize import axis_tables
from lacewing.converter.training import operators
from lacewing.converter.training.arithmetic import Arithmetic
from lacewing.converter.training.first_samples import first
from lacewing.converter.training.operators import per_channel
from lacewing.converter.training.rounding import rounded, to_levels

_RESIZE_UNIT = 256  # of a bilinear weight


class Values:
    """The values computed so far, each as levels or as reals, in the other form when an operator asks for it."""

    def __init__(self, arithmetic: Arithmetic, reals: Mapping[str, Tensor]) -> None:
        self.arithmetic = arithmetic
        self._reals = dict(reals)
        self._levels: dict[str, Tensor] = {}

    def real(self, value: str) -> Tensor:
        """float32."""
        if value not in self._reals:
            self._reals[value] = self._as_real(value, self._levels[value])
        return self._reals[value]

    def first_real(self, value: str, count: int) -> Tensor:
        """The reals of the first samples alone."""
        if value in self._reals:
            return first(self._reals[value], count)
        return self._as_real(value, first(self._levels[value], count))

    def _as_real(self, value: str, levels: Tensor) -> Tensor:
        return self._less_zero_point(value, levels) * self.arithmetic.scale(value)

    def levels(self, value: str) -> Tensor:
        """Integers 0..127 as floats."""
        if value not in self._levels:
            self._levels[value] = self.arithmetic.quantize(value, self._reals[value])
        return self._levels[value]

    def centred(self, value: str) -> Tensor:
        """Levels less their zero point."""
        return self._less_zero_point(value, self.levels(value))

    def _less_zero_point(self, value: str, levels: Tensor) -> Tensor:
        zero_point = self.arithmetic.zero_point(value)
        return levels - zero_point if zero_point else levels

    def as_levels_of(self, value: str, target: str) -> Tensor:
        """The value in the levels of ``target``."""
        q = self.arithmetic.plan.values
        if q[value] == q[target]:
            return self.levels(value)
        return self.arithmetic.rescale(self.levels(value), value, target)

    def set_levels(self, value: str, levels: Tensor) -> None:
        """What an operator computed."""
        self._levels[value] = levels

    def set_real(self, value: str, real: Tensor) -> None:
        """What an operator computed, as float32."""
        self._reals[value] = real

    def forget(self, values: Iterable[str]) -> None:
        """Frees what nobody reads any more."""
        for value in values:
            self._reals.pop(value, None)
            self._levels.pop(value, None)


def _store(known: Values, node: Node, acc: Tensor, multiplier: Tensor) -> None:
    """``requantize``, or the float32 result straight from the sums."""
    scaled = acc * multiplier
    if known.arithmetic.plan.is_float(node.output):
        known.set_real(node.output, scaled)
    else:
        known.set_levels(node.output, _clamped(known, node, scaled))


def _clamped(known: Values, node: Node, scaled: Tensor) -> Tensor:
    low, high = known.arithmetic.clamp_levels(node)
    return to_levels(scaled, known.arithmetic.zero_point(node.output), low, high)


def _layer(known: Values, node: Node) -> None:
    layer = known.arithmetic.layer(node)
    acc = known.arithmetic.accumulate(node, known.centred(node.inputs[0]), layer)
    _store(known, node, acc, per_channel(layer.multiplier, acc))


def _add(known: Values, node: Node) -> None:
    a, b = (known.centred(v) * known.arithmetic.quotient((v, 1), (node.output, -1)) for v in node.inputs)
    known.set_levels(node.output, _clamped(known, node, a + b))


def _mul(known: Values, node: Node) -> None:
    a, b = node.inputs
    acc = known.centred(a) * known.centred(b)
    _store(known, node, acc, known.arithmetic.quotient((a, 1), (b, 1), (node.output, -1)))


def _avg_pool(known: Values, node: Node) -> None:
    x = known.centred(node.inputs[0])
    counts = operators.window_counts(node, x)
    _store(known, node, operators.window_sums(node, x), known.arithmetic.pool_multiplier(node, counts))


def _max_pool(known: Values, node: Node) -> None:
    levels = known.as_levels_of(node.inputs[0], node.output)
    known.set_levels(node.output, operators.max_pool(node, levels))


def _pad(known: Values, node: Node) -> None:
    levels = known.as_levels_of(node.inputs[0], node.output)
    zero_point = float(known.arithmetic.zero_point(node.output))
    known.set_levels(node.output, operators.spatial_pads(node, levels, zero_point))


def _resize(known: Values, node: Node) -> None:
    levels = known.as_levels_of(node.inputs[0], node.output)
    tables = [
        axis_tables(int(o), int(i), node) for o, i in zip(node.attrs["size"], levels.shape[2:], strict=True)
    ]
    # Weights are whole 256ths and levels below 128: every sum is exact in float32 whatever the order.
    scaled = [
        {k: v.astype(np.float64) / (_RESIZE_UNIT if k == "weight" else 1) for k, v in t.items()}
        for t in tables
    ]
    rows, cols = (operators.axis_tensors(t, levels) for t in scaled)
    known.set_levels(node.output, rounded(operators.resize(levels, rows, cols)))


def _table(known: Values, node: Node) -> None:
    known.set_levels(node.output, known.arithmetic.table(node, known.levels(node.inputs[0])))


def _softmax(known: Values, node: Node) -> None:
    known.set_real(node.output, known.arithmetic.softmax(node, known.real(node.inputs[0])))


def _moves(function: Callable[[Node, list[Tensor]], Tensor]) -> Callable[[Values, Node], None]:
    def run(known: Values, node: Node) -> None:
        if known.arithmetic.plan.is_float(node.output):
            known.set_real(node.output, function(node, [known.real(v) for v in node.inputs]))
        else:
            levels = [known.as_levels_of(v, node.output) for v in node.inputs]
            known.set_levels(node.output, function(node, levels))

    return run


OPERATORS: dict[str, Callable[[Values, Node], None]] = {
    "conv": _layer,
    "gemm": _layer,
    "add": _add,
    "mul": _mul,
    "avg_pool": _avg_pool,
    "max_pool": _max_pool,
    "concat": _moves(operators.concat),
    "pad": _pad,
    "resize": _resize,
    "softmax": _softmax,
    "reshape": _moves(lambda node, inputs: operators.reshape(node, inputs[0])),
    "transpose": _moves(lambda node, inputs: operators.transpose(node, inputs[0])),
    **dict.fromkeys(TABLE_OPERATORS, _table),
}
