"""Whole channels taken out of a network, where that costs less than the blocks that would save the same.

Blocks leave depthwise convolutions, pools and adds as they are; a network with fewer channels has less of all of them.
Channels that are tied go together (permutation_sets.py). What a channel is worth is what the layers that read it lose
by it, by the second-order score that judges blocks; its own weights, which nobody reads any more, go at no loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.errors import OutOfReach
from lacewing.converter.ir import Graph, Node
from lacewing.converter.options import ConvertOptions
from lacewing.converter.quantization.layerwise import channel_means, clipped, run_node
from lacewing.converter.sparsity import moments, obs
from lacewing.converter.sparsity.budget import KIB, LayerBudget, device_profile, plan_budget, why_dense
from lacewing.converter.sparsity.columns import to_columns
from lacewing.converter.sparsity.permutation_sets import (
    Orders,
    PermutationSet,
    is_dense,
    permutation_sets,
    permute,
)
from lacewing.converter.sparsity.prices import Prices
from lacewing.converter.sparsity.saliency import row_scale
from lacewing.converter.sparsity.survey import survey_channels
from lacewing.format.description import QUAD

Array = npt.NDArray[Any]
Canonical = Callable[[Graph], Graph]  # a copy as the engine runs it, the same names of layers
Kept = dict[str, Array]  # value -> [C'], the channels that stay, rising; values that keep all are absent

# Of what the limits ask to be saved, the parts that channels may save by a linear estimate, which promises too much where
# layers lose inputs and outputs; blocks save the rest.
_PARTS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
_LEAST_KEPT = 1 / 4  # of a set's channels


@dataclass(frozen=True)
class Pruning:
    """What goes: ``graph`` is the source without channels, its weights repaired; ``budgets`` are of its layers."""

    graph: Graph
    budgets: dict[str, LayerBudget]
    kept: Kept = field(default_factory=dict)

    def places(self, orders: Orders) -> dict[str, Array]:
        """value -> [C'], the source's channel at each place of ``graph`` once that is in ``orders``; absent if the same."""
        found = {**self.kept}
        for value, order in orders.items():
            found[value] = found[value][order] if value in found else order
        return found

    def narrowed(self, source: Graph) -> dict[str, tuple[int, int]]:
        """layer -> its output channels in ``source`` and now, of the layers that lost some."""
        layers = [n for n in source.nodes if n.op in ("conv", "gemm") and n.output in self.kept]
        return {n.name: (source.shapes[n.output][1], len(self.kept[n.output])) for n in layers}


def plan_pruning(
    graph: Graph, canonical: Canonical, options: ConvertOptions, inputs: Mapping[str, Array], reach: float
) -> Pruning:
    """Blocks for every layer and, where limits and the choice of blocks are the converter's, channels to go first.

    inputs: name -> [N, ...] f32. Raises what ``plan_budget`` raises.
    """
    seed = options.seed
    if not options.limited or options.block != "auto":
        return Pruning(graph, plan_budget(canonical(graph), options, inputs, seed, reach))
    refused: OutOfReach | None = None
    best, least = None, math.inf
    for kept in _candidates(graph, canonical, options, inputs):
        narrower, error = _without(graph, kept, inputs, seed)
        try:
            budgets = plan_budget(canonical(narrower), options, inputs, seed, reach)
        except OutOfReach as refusal:  # with fewer channels there may be a way
            refused = refusal
            continue
        error += sum(budget.error for budget in budgets.values())
        if error < least:
            best, least = Pruning(narrower, budgets, kept), error
        if not any(budget.share for budget in budgets.values()):
            break  # there is nothing left to save
    if best is None:
        assert refused is not None
        raise refused
    return best


@dataclass(frozen=True)
class _Quad:
    """Four channels of a set: the error of losing them; what they save of the excess, with and without blocks."""

    moving: PermutationSet
    channels: Array
    error: float
    gain: float
    saved: float


def _candidates(
    graph: Graph, canonical: Canonical, options: ConvertOptions, inputs: Mapping[str, Array]
) -> Iterator[Kept]:
    """The channels that stay, fewer and fewer; at first all."""
    yield {}
    whole = canonical(graph)
    sets = [s for s in permutation_sets(graph) if _removable(graph, whole, s)]
    costs = _Costs(options)
    if not sets or not costs.exceeded(whole):
        return
    readers = {n.name for s in sets for n in _readers(graph, s)}
    scores = survey_channels(whole, readers, inputs, options.seed)
    quads = [q for s in sets for q in _quads(graph, canonical, s, scores, costs)]
    quads.sort(key=lambda q: q.error / q.gain)
    saved = np.cumsum([q.saved for q in quads])
    for count in sorted({min(int(np.searchsorted(saved, part)) + 1, len(quads)) for part in _PARTS} - {0}):
        yield _kept(graph, quads[:count])


def _readers(graph: Graph, moving: PermutationSet) -> list[Node]:
    return [n for n in graph.nodes if is_dense(n) and n.inputs[0] in moving.places]


def _removable(graph: Graph, whole: Graph, moving: PermutationSet) -> bool:
    """Whether layers read the set that are learned and that both forms of the network have alike."""
    inputs = {n.name: n.weights["weight"].shape[1] for n in whole.nodes if is_dense(n)}
    readers = _readers(graph, moving)
    return bool(readers) and all(
        not n.attrs.get("fixed") and inputs.get(n.name) == n.weights["weight"].shape[1] for n in readers
    )


def _quads(
    graph: Graph,
    canonical: Canonical,
    moving: PermutationSet,
    scores: Mapping[str, Array],
    costs: _Costs,
) -> list[_Quad]:
    """The quads of the set that may go, cheapest first."""
    count = (moving.size - math.ceil(_LEAST_KEPT * moving.size)) // QUAD
    if not count:
        return []
    total = sum(
        scores[n.name][places] for n in _readers(graph, moving) for places in moving.places[n.inputs[0]]
    )
    cheapest = np.argsort(total, kind="stable")[: count * QUAD].reshape(-1, QUAD)
    all_gone = _Quad(moving, cheapest.ravel(), 0.0, 0.0, 0.0)
    gain, saved = costs.savings(canonical(permute(graph, _kept(graph, [all_gone]))))
    if gain <= 0:
        return []
    return [_Quad(moving, own, float(total[own].sum()), gain / count, saved / count) for own in cheapest]


def _kept(graph: Graph, gone: Sequence[_Quad]) -> Kept:
    stay: dict[str, Array] = {}
    for quad in gone:
        for value, places in quad.moving.places.items():
            mask = stay.setdefault(value, np.ones(graph.shapes[value][1], np.bool_))
            mask[places[:, quad.channels]] = False
    return {value: np.flatnonzero(mask) for value, mask in stay.items()}


class _Costs:
    """Time and bytes of a network, [2], against the options' limits on them."""

    def __init__(self, options: ConvertOptions) -> None:
        self._profile = device_profile(options)
        time = math.inf if options.latency is None else options.latency * 1e6
        size = math.inf if options.size is None else options.size * KIB
        self._limits = np.array([time, size])

    def exceeded(self, whole: Graph) -> bool:
        """Whether ``whole``, the canonical network that savings are relative to, is beyond a limit."""
        self._fixed, self._free = self._of(whole)
        self._over = np.maximum(self._fixed + self._free - self._limits, 0)
        # What blocks can make sparse is worth as much as they will leave of it.
        left = (np.minimum(self._limits, 1e30) - self._fixed) / np.maximum(self._free, 1)
        self._left = np.clip(left, 0, 1)
        return bool(self._over.any())

    def savings(self, narrower: Graph) -> tuple[float, float]:
        """Of the excess the part that ``narrower`` saves: once blocks have gone too, and before that."""
        fixed, free = self._of(narrower)
        beyond = self._over > 0
        parts = [
            ((self._fixed - fixed) + share * (self._free - free))[beyond] / self._over[beyond]
            for share in (self._left, 1.0)
        ]
        return float(parts[0].mean()), float(parts[1].mean())

    def _of(self, graph: Graph) -> tuple[Array, Array]:
        """[2], [2]: what blocks leave as it is, and what they can make sparse."""
        prices = Prices(graph, self._profile)
        fixed, free = np.array(prices.rest), np.zeros(2)
        for node in graph.nodes:
            if node.op in ("conv", "gemm"):
                into = fixed if why_dense(graph, node) else free
                into += prices.dense(node.name)
        return fixed, free


def _without(graph: Graph, kept: Kept, inputs: Mapping[str, Array], seed: int) -> tuple[Graph, float]:
    """The network with the channels ``kept``; layers that read them make up for the others by least squares.

    And the error that is left, the sum over those layers, each relative to the power of its output.
    """
    result, error = permute(graph, kept), 0.0
    if not kept:
        return result, error
    generator = np.random.default_rng(seed)
    values = dict(inputs)
    last_use = {v: i for i, n in enumerate(graph.nodes) for v in n.inputs}
    for i, (node, narrower) in enumerate(zip(graph.nodes, result.nodes, strict=True)):
        values[node.output] = run_node(graph, node, values)
        stay = kept.get(node.inputs[0])
        if stay is not None and is_dense(node):
            source = values[node.inputs[0]]
            rows = kept.get(node.output, np.arange(len(node.weights["weight"])))
            weight, lost = _refitted(node, source, stay, row_scale(graph, node), generator)
            error += lost
            narrower.weights["weight"] = weight[rows]
            wanted = channel_means(values[node.output])[rows]
            got = channel_means(run_node(result, narrower, {node.inputs[0]: source[:, stay]}))
            narrower.weights["bias"] = (narrower.weights["bias"] + wanted - got).astype(np.float32)
        values[node.output] = clipped(node, values[node.output])
        for value in {v for v in node.inputs if last_use[v] == i}:
            del values[value]
    return result, error


def _refitted(
    node: Node, source: Array, stay: Array, scale: Array, generator: np.random.Generator
) -> tuple[Array, float]:
    """[O,C',...] f32: the weights that best give the layer's outputs from the channels ``stay`` alone; their error.

    scale [O]: by what the outputs are multiplied before anything else sees them.
    """
    weight = node.weights["weight"]
    hessian = moments.collect(node, source, source, generator).hessian
    columns = to_columns(weight).astype(np.float64)
    taps = int(np.prod(weight.shape[2:]))
    at = np.arange(columns.shape[1]).reshape(taps, -1)
    left = at[:, stay].ravel()
    gone = np.setdiff1d(at, left)
    repair = columns[:, gone] @ hessian[np.ix_(gone, left)] @ obs.inverse_moment(hessian[np.ix_(left, left)])
    change = -columns
    change[:, left] = repair
    fitted = (columns + change)[:, left].reshape(len(weight), taps, len(stay)).swapaxes(1, 2)
    error = _power(change * scale[:, None], hessian) / max(_power(columns * scale[:, None], hessian), 1e-30)
    return fitted.reshape(len(weight), len(stay), *weight.shape[2:]).astype(np.float32), error


def _power(weight: Array, hessian: Array) -> float:
    """Of a layer's output."""
    return float(np.einsum("ok,kl,ol->", weight, hessian, weight, optimize=True))
