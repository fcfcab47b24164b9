"""Narrows the ranges of activations while no calibration sample loses by it.

A range that holds everything seen has its outermost levels for a few elements, and the step of all others pays for
them. What cutting them off costs shows where the value is read: its readers compute their results from the rounded
value, and the error of each sample's results, after the readers' clamps, is set against the error with the whole range.
The mean over the samples alone would cut too deep: large elements are rare, but the layers behind look for them, and a
sample that has some is spoilt. So every sample has a veto: the range shrinks only as far as none of them becomes worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.ir import Graph, Node
from lacewing.converter.progress import Progress
from lacewing.converter.quantization.layerwise import clipped, run_node
from lacewing.converter.quantization.parameters import Quantization
from lacewing.converter.quantization.plan import QuantizationPlan
from lacewing.converter.quantization.sharing import MOVES, SharedQuantization

Array = npt.NDArray[Any]

_STEP = 0.9  # of the range, from one candidate to the next
_ENDS = ((_STEP, _STEP), (_STEP, 1.0), (1.0, _STEP))  # what moves: first both ends, then each
_MOST_STEPS = 8
_SAMPLES = 32


@dataclass(frozen=True)
class _Group:
    """Values of one quantization: ``inner`` nodes move bytes between them, ``readers`` compute on them."""

    values: set[str]
    inner: list[Node]
    readers: list[Node]
    last: int  # index of the node after which all that the readers read and write is known

    @property
    def touched(self) -> set[str]:
        """What judging the group needs of the float network."""
        read = ({*r.inputs, r.output} for r in self.readers)
        return self.values.union(*read, *(n.inputs for n in self.inner))


def narrow(graph: Graph, plan: QuantizationPlan, inputs: Mapping[str, Array], progress: Progress) -> None:
    """Shrinks quantizations of ``plan`` in place. inputs: name -> [N, ...] f32, calibration samples."""
    known = {name: _spread(array) for name, array in inputs.items()}
    groups = list(_groups(graph, plan))
    needed = {v: i for i, node in enumerate(graph.nodes) for v in node.inputs}
    for group in groups:
        for value in group.touched:
            needed[value] = max(needed.get(value, 0), group.last)
    for i, node in enumerate(graph.nodes):
        known[node.output] = clipped(node, run_node(graph, node, known))
        for group in (g for g in groups if g.last == i):
            chosen = _narrowed(graph, plan, group, known)
            plan.values.update(dict.fromkeys(group.values, chosen))
        for value in [v for v in known if needed.get(v, -1) <= i]:
            del known[value]
        progress("ranges", (i + 1) / len(graph.nodes))


def _spread(array: Array) -> Array:
    count = min(len(array), _SAMPLES)
    return array[[i * len(array) // count for i in range(count)]]


def _groups(graph: Graph, plan: QuantizationPlan) -> Iterator[_Group]:
    position = {n.output: i for i, n in enumerate(graph.nodes)}
    for members in SharedQuantization(graph, plan.float_values).members().values():
        values = set(members)
        # Inputs are data with hard ends, outputs are for others to read, and neither has a reader to ask.
        if values & ({*graph.inputs, *graph.outputs} | plan.float_values):
            continue
        touching = [n for n in graph.nodes if values & set(n.inputs)]
        inner = [n for n in touching if n.output in values and n.op in (*MOVES, "concat")]
        readers = [n for n in touching if n not in inner]
        if readers:
            yield _Group(values, inner, readers, max(position[r.output] for r in readers))


def _narrowed(
    graph: Graph, plan: QuantizationPlan, group: _Group, known: Mapping[str, Array]
) -> Quantization:
    """The quantization with the least error that leaves no sample's results further off than the present one."""
    best = plan.values[min(group.values)]
    whole = _errors(graph, group, known, best)
    least = float(whole.sum())
    low, high = best.range
    for end in _ENDS if low < 0 < high else _ENDS[:1]:
        for _ in range(_MOST_STEPS):
            narrower = low * end[0], high * end[1]
            candidate = Quantization.from_range(*narrower)
            errors = _errors(graph, group, known, candidate)
            if np.any(errors > whole) or errors.sum() >= least:
                break
            best, least, (low, high) = candidate, float(errors.sum()), narrower
    return best


def _errors(graph: Graph, group: _Group, known: Mapping[str, Array], quantization: Quantization) -> Array:
    """[N] f64: squared error of the readers' results for each sample, each reader relative to its power."""
    inner = {n.output: n for n in group.inner}
    rounded: dict[str, Array] = {}
    for value in (v for v in known if v in group.values):  # in the order of the nodes
        if value in inner:
            rounded[value] = run_node(graph, inner[value], {**known, **rounded})
        else:
            rounded[value] = quantization.simulate(known[value])
    total = np.zeros(len(next(iter(rounded.values()))))
    for reader in group.readers:
        got = clipped(reader, run_node(graph, reader, {**known, **rounded}))
        exact = known[reader.output].astype(np.float64)
        squares = np.square(got - exact).reshape(len(exact), -1).sum(axis=1)
        total += squares / max(float(np.square(exact).sum()), 1e-300)
    return total
