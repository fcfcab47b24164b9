"""Whole channels taken out of a network, where that costs less than the blocks that would save the same.

Blocks leave depthwise convolutions, pools and adds as they are; a network with fewer channels has less of all of them.
Channels that are tied go together (permutation_sets.py). What a channel is worth is what the layers that read it lose
by it, by the second-order score that judges blocks; its own weights, which nobody reads any more, go at no loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.errors import OutOfReach
from lacewing.converter.ir import Graph, Node
from lacewing.converter.options import MAX_SPARSITY, ConvertOptions
from lacewing.converter.progress import Progress, silent
from lacewing.converter.sparsity.budget import KIB, LayerBudget, device_profile, plan_budget, why_dense
from lacewing.converter.sparsity.permutation_sets import (
    Orders,
    PermutationSet,
    is_dense,
    permutation_sets,
    permute,
)
from lacewing.converter.sparsity.prices import Prices
from lacewing.converter.sparsity.survey import survey_channels
from lacewing.converter.sparsity.without_channels import without_channels
from lacewing.format.description import QUAD

Array = npt.NDArray[Any]
Canonical = Callable[[Graph], Graph]  # a copy as the engine runs it, the same names of layers
Kept = dict[str, Array]  # value -> [C'], the channels that stay, rising; values that keep all are absent

# Of what the limits ask to be saved, the parts that channels may save by a linear estimate, which promises too much where
# layers lose inputs and outputs; blocks save the rest.
_PARTS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
_LEAST_KEPT = 1 / 4  # of a set's channels
# By how much an error by lost channels counts more than one by lost blocks, as each is foreseen (docs/sparsity.md).
CHANNEL_WEIGHT = 2.0


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
    graph: Graph,
    canonical: Canonical,
    options: ConvertOptions,
    inputs: Mapping[str, Array],
    reach: float,
    progress: Progress = silent,
) -> Pruning:
    """Blocks for every layer and, where limits and the choice of blocks are the converter's, channels to go first.

    inputs: name -> [N, ...] f32; reach: of ``plan_budget``, which raises.
    """
    seed = options.seed
    if not options.limited or options.block != "auto":
        return Pruning(graph, plan_budget(canonical(graph), options, inputs, seed, reach))
    refused: OutOfReach | None = None
    best, least = None, math.inf
    for i, kept in enumerate(_candidates(graph, canonical, options, inputs)):
        progress("channels", i / (1 + len(_PARTS)))
        narrower, lost = without_channels(graph, kept, inputs, seed)
        try:
            budgets = plan_budget(canonical(narrower), options, inputs, seed, reach)
        except OutOfReach as refusal:  # with fewer channels there may be a way
            if refused is None or refusal.beyond < refused.beyond:
                refused = refusal
            continue
        error = CHANNEL_WEIGHT * lost + sum(budget.error for budget in budgets.values())
        if error < least:
            best, least = Pruning(narrower, budgets, kept), error
        if not any(budget.share for budget in budgets.values()):
            break  # there is nothing left to save
    progress("channels", 1.0)
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
    sets = [s for s in permutation_sets(graph) if _removable(graph, whole, s, options.layers)]
    costs = _Costs(whole, options)
    if not sets or not costs.exceeded:
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


def _removable(graph: Graph, whole: Graph, moving: PermutationSet, told: Container[str]) -> bool:
    """Whether layers read the set that are learned and that both forms of the network have alike, and none is ``told``."""
    if any(
        n.name in told and (n.inputs[0] in moving.places or n.output in moving.places) for n in graph.nodes
    ):
        return False
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
    """Time and bytes, [2], of the canonical network ``whole`` and of what is left of it, against the options' limits."""

    def __init__(self, whole: Graph, options: ConvertOptions) -> None:
        self._profile = device_profile(options)
        time = math.inf if options.latency is None else options.latency * 1e6
        size = math.inf if options.size is None else options.size * KIB
        limits = np.array([time, size])
        self._fixed, self._free = self._of(whole)
        self._over = np.maximum(self._fixed + self._free - limits, 0)
        # What blocks can make sparse is worth as much as they will leave of it, which is never nothing.
        self._left = np.clip((limits - self._fixed) / np.maximum(self._free, 1), 1 - MAX_SPARSITY, 1)

    @property
    def exceeded(self) -> bool:
        """Whether the network is beyond a limit."""
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
