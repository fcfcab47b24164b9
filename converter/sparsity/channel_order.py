"""The search for an order of channels that concentrates saliency in blocks.

Two starts, the network as it is and channels clustered by likeness, are refined by swaps; the better one wins. After
the channel permutations of "Channel Permutations for N:M Sparsity" (Pool and Yu, NeurIPS 2021) and the whole-network
rearrangement of SparseByteNN (arXiv 2310.19509), but for blocks that are taken from a whole layer at once: a block
is worth what it holds above the layer's threshold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.ir import Graph
from lacewing.converter.sparsity.permutation_sets import PermutationSet
from lacewing.converter.sparsity.retention import BlockSaliency

Array = npt.NDArray[Any]

_TRIAL_SWEEPS = 2  # over all sets, for each start
_SWEEPS = 6  # more for the better one
_LEAST_GAIN = 1e-4  # of the mean retained share, that a sweep must bring for another one to follow
_LEAST_SWAP = 1e-7  # of a layer's saliency; below it a gain may be rounding
_CANDIDATES = 128  # partners that each channel is tried with in one sweep
_FEWEST_CANDIDATES = 8
_OPERATIONS = 4e8  # block sums looked at per sweep; large networks try fewer partners


def search(
    graph: Graph, layers: Mapping[str, BlockSaliency], sets: Sequence[PermutationSet], seed: int
) -> list[Array]:
    """For each set the order that keeps most, [size]: place i takes the channel that was at place order[i].

    What counts is the mean over ``layers`` of the share of saliency that each keeps; it never ends below the start.
    """
    generator = np.random.default_rng(seed)
    arrangements = []
    for clustered in (False, True):
        arrangement = _Arrangement(graph, layers, sets)
        if clustered:
            for index in range(len(sets)):
                arrangement.move(index, _clustered(arrangement.views[index], sets[index].size))
        _refine(arrangement, _TRIAL_SWEEPS, generator)
        arrangements.append(arrangement)
    best = max(arrangements, key=_Arrangement.retained)
    _refine(best, _SWEEPS, generator)
    return best.orders


@dataclass(frozen=True)
class _View:
    """One layer's rows or columns that a set of channels stands in; places [size]."""

    layer: BlockSaliency
    rows: bool
    places: Array

    @property
    def group(self) -> int:
        """How many neighbours share a block; with one, their order does not matter."""
        return self.layer.block.rows if self.rows else self.layer.block.columns


class _Arrangement:
    """Every layer's saliency with the channels of each set in some order."""

    def __init__(
        self, graph: Graph, layers: Mapping[str, BlockSaliency], sets: Sequence[PermutationSet]
    ) -> None:
        self.orders = [np.arange(s.size) for s in sets]
        self._layers = {name: deepcopy(layer) for name, layer in layers.items()}
        nodes = [n for n in graph.nodes if n.name in layers]
        self.views = [
            [
                _View(self._layers[n.name], rows, places)
                for n in nodes
                for rows, value in ((False, n.inputs[0]), (True, n.output))
                for places in s.places.get(value, ())
            ]
            for s in sets
        ]

    def move(self, index: int, order: Array) -> None:
        """Place i of set ``index`` takes the channel that is now at place order[i]."""
        self.orders[index] = self.orders[index][order]
        for view in self.views[index]:
            view.layer.move(view.rows, view.places, order)

    def retained(self, index: int | None = None) -> float:
        """Mean share that the layers keep; with ``index`` the sum over the layers that the set acts on."""
        if index is None:
            return sum(layer.retained() for layer in self._layers.values()) / max(1, len(self._layers))
        return sum(layer.retained() for layer in {id(v.layer): v.layer for v in self.views[index]}.values())


def _clustered(views: list[_View], size: int) -> Array:
    """[size]: an order in which channels whose weights are large in the same places are neighbours.

    Channels pair up, pairs pair up, and so on to the largest group; likeness is the sum over all weights of the
    geometric mean of the saliencies, which does not depend on the order of any other set.
    """
    largest = max((view.group for view in views), default=1)
    clusters, rest = [[i] for i in range(size)], list[list[int]]()
    width = 1
    while width < largest:
        width *= 2
        likeness = np.zeros((len(clusters), len(clusters)), np.float32)
        for view in views:
            if view.group >= width:
                lines = view.layer.lines(view.rows)[view.places]
                roots = np.sqrt(np.stack([lines[c].sum(axis=0) for c in clusters]))
                likeness += roots @ roots.T
        pairs, single = _paired(likeness)
        rest = [clusters[i] for i in single] + rest
        clusters = [clusters[a] + clusters[b] for a, b in pairs]
    return np.array([channel for cluster in clusters + rest for channel in cluster])


def _paired(likeness: Array) -> tuple[list[tuple[int, int]], list[int]]:
    """Pairs of alike items, the heaviest item choosing first, and the one left over where their number is odd."""
    heaviest = np.argsort(-np.diag(likeness), kind="stable").tolist()
    free = np.ones(len(likeness), np.bool_)
    pairs = []
    for item in heaviest:
        if free[item] and free.sum() > 1:
            free[item] = False
            other = int(np.argmax(np.where(free, likeness[item], -np.inf)))
            free[other] = False
            pairs.append((item, other))
    return pairs, np.flatnonzero(free).tolist()


def _refine(arrangement: _Arrangement, sweeps: int, generator: np.random.Generator) -> None:
    """At most ``sweeps`` rounds of swaps over all sets, until they bring little."""
    sizes = [
        len(order) * min(len(order), _CANDIDATES) * sum(s.size for s in _slots(views))
        for order, views in zip(arrangement.orders, arrangement.views, strict=True)
    ]
    candidates = max(_FEWEST_CANDIDATES, int(_CANDIDATES * min(1.0, _OPERATIONS / max(1, sum(sizes)))))
    reached = arrangement.retained()
    for _ in range(sweeps):
        for index in range(len(sizes)):
            _swap_channels(arrangement, index, candidates, generator)
        before, reached = reached, arrangement.retained()
        if reached - before < _LEAST_GAIN:
            return


def _swap_channels(
    arrangement: _Arrangement, index: int, candidates: int, generator: np.random.Generator
) -> None:
    """Gives each channel of one set its best swap among ``candidates`` others, thresholds as they are."""
    slots, size = _slots(arrangement.views[index]), len(arrangement.orders[index])
    if not slots:  # single rows only: their order does not matter
        return
    order = np.arange(size)
    partners = (
        generator.integers(0, size, (size, candidates)) if candidates < size else [np.arange(size)] * size
    )
    for channel in generator.permutation(size).tolist():
        gains = np.sum([s.gains(channel, partners[channel]) for s in slots], axis=0)
        best = int(np.argmax(gains))
        if gains[best] > _LEAST_SWAP:
            other = int(partners[channel][best])
            for s in slots:
                s.swap(channel, other)
            order[[channel, other]] = order[[other, channel]]
    before = arrangement.retained(index)
    arrangement.move(index, order)
    if arrangement.retained(index) < before:  # the thresholds moved too far
        arrangement.move(index, np.argsort(order))


class _Slots:
    """The blocks that a set of channels crosses, for all views that group its places alike.

    own [n][U] f32: what the channel in each slot adds to its blocks; margin [groups][U]: what the blocks of a group
    of slots hold above the layer's threshold; group [n]: the group of each slot.
    """

    def __init__(self, own: Array, margin: Array, group: Array) -> None:
        self._own, self._margin, self._group = own, margin, group
        self._kept = np.maximum(margin, 0).sum(axis=1)  # [groups]
        self._rest = margin[group] - own  # [n][U], a slot's blocks without its channel

    @property
    def size(self) -> int:
        """Numbers that one swap is judged by."""
        return int(self._own.shape[1])

    def gains(self, slot: int, others: Array) -> Array:
        """[others] f32: what stays above the thresholds if ``slot`` changes places with each, more than now."""
        mine, theirs = self._group[slot], self._group[others]
        arrived = self._rest.take(others, axis=0)  # [others][U]
        arrived += self._own[slot]
        gains: Array = np.maximum(arrived, 0, out=arrived).sum(axis=1)
        left = self._own.take(others, axis=0)
        left += self._rest[slot]
        gains += np.maximum(left, 0, out=left).sum(axis=1)
        gains -= self._kept[theirs] + self._kept[mine]
        gains[theirs == mine] = 0
        return gains

    def swap(self, slot: int, other: int) -> None:
        """The channels in both slots change places."""
        pair, groups = [slot, other], self._group[[slot, other]]
        difference = self._own[other] - self._own[slot]
        self._own[pair] = self._own[pair[::-1]]
        if groups[0] != groups[1]:
            self._margin[groups] += np.stack([difference, -difference])
            self._kept[groups] = np.maximum(self._margin[groups], 0).sum(axis=1)
        slots = np.flatnonzero((self._group == groups[0]) | (self._group == groups[1]))
        self._rest[slots] = self._margin[self._group[slots]] - self._own[slots]


def _slots(views: list[_View]) -> list[_Slots]:
    """Views whose places fall into the same groups become one: fewer and longer array operations."""
    parts: dict[bytes, list[tuple[Array, Array]]] = defaultdict(list)
    for view in views:
        if view.group == 1:
            continue
        own = view.layer.parts(view.rows)
        sums = np.add.reduceat(own, np.arange(0, len(own), view.group), axis=0)
        groups, group = np.unique(view.places // view.group, return_inverse=True)
        margin = sums[groups] - np.float32(view.layer.threshold())
        parts[group.astype(np.int64).tobytes()].append((own[view.places], margin))
    return [
        _Slots(
            np.concatenate([own for own, _ in found], axis=1),
            np.concatenate([margin for _, margin in found], axis=1),
            np.frombuffer(group, np.int64),
        )
        for group, found in parts.items()
    ]
