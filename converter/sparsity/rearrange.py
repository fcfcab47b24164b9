"""Whole-network rearrangement: channels change places so that the saliency of weights concentrates in blocks.

The network computes the same; its inputs and outputs keep their order; nothing is left to do at run time, since a
layer's weights take any order of its input and output channels. Works on graphs before and after the passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.errors import OptionError
from lacewing.converter.ir import Graph, Node
from lacewing.converter.lowering.blocks import occupied, smallest_block_rows
from lacewing.converter.options import ConvertOptions
from lacewing.converter.sparsity.budget import LayerBudget
from lacewing.converter.sparsity.channel_order import search
from lacewing.converter.sparsity.obs import Block
from lacewing.converter.sparsity.permutation_sets import (
    PermutationSet,
    along,
    is_dense,
    permutation_sets,
    permute,
    value_orders,
)
from lacewing.converter.sparsity.retention import BlockSaliency
from lacewing.converter.sparsity.saliency import weight_saliency

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class LayerRetention:
    """The share of a layer's saliency that stays when its cheapest blocks go, before and after rearrangement."""

    block: Block
    share: float
    before: float
    after: float


@dataclass(frozen=True)
class MovedSet:
    """Channels that were permuted together: how many, how many stand elsewhere now, and the pruned layers concerned."""

    size: int
    moved: int
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Rearrangement:
    """New places for the channels of one graph.

    orders: value -> [C], place c holds the channel that was at orders[value][c]; values that keep theirs are absent.
    ``nodes`` names the graph that it belongs to.
    """

    orders: dict[str, Array]
    layers: dict[str, LayerRetention]
    sets: list[MovedSet]
    nodes: tuple[tuple[str, str, str], ...]

    @property
    def before(self) -> float:
        """Mean over the layers of what each keeps without rearrangement; 1 without layers."""
        return float(np.mean([r.before for r in self.layers.values()])) if self.layers else 1.0

    @property
    def after(self) -> float:
        """The same with it; never less."""
        return float(np.mean([r.after for r in self.layers.values()])) if self.layers else 1.0

    def apply(self, graph: Graph) -> Graph:
        """The same network rearranged; ``graph`` stays as it is. ValueError for another graph than the searched one."""
        if _nodes(graph) != self.nodes:
            raise ValueError(f"the rearrangement belongs to another graph than '{graph.name}' as it is now")
        return permute(graph, self.orders)

    def along(self, node: Node, array: Array) -> Array:
        """Permutes what has the shape of one of ``node``'s weights: the weight, its saliency or its mask."""
        return along(self.orders, node, array)


def rearrange_for(
    graph: Graph, budgets: Mapping[str, LayerBudget], inputs: Mapping[str, Array], options: ConvertOptions
) -> Rearrangement | None:
    """For the blocks and shares of ``budgets``; None where nothing is pruned. inputs: name -> [N, ...] f32.

    A conv that only selects channels takes more blocks when those are scattered: under a limit, for which it was priced as it
    came, the channels around it stay where it would.
    """
    pruned = {name: b for name, b in budgets.items() if b.share}
    if not pruned:
        return None
    blocks = {name: b.block for name, b in pruned.items()}
    shares = {name: b.share for name, b in pruned.items()}
    saliency = weight_saliency(graph, pruned, inputs)
    found = rearrange(graph, saliency, blocks, shares, options.seed)
    if not options.limited or not np.any(_selecting(found.apply(graph)) > _selecting(graph)):
        return found
    still = {v for n in graph.nodes if n.attrs.get("fixed") for v in (n.inputs[0], n.output)}
    return rearrange(graph, saliency, blocks, shares, options.seed, still)


def _selecting(graph: Graph) -> Array:
    """[2]: the blocks that convs which only select channels are stored in, and the rows of all these blocks."""
    found = np.zeros(2, np.int64)
    for weight in (n.weights["weight"] for n in graph.nodes if n.attrs.get("fixed")):
        rows = smallest_block_rows(weight)
        found += int(occupied(weight, rows).sum()) * np.array([1, rows])
    return found


def rearrange(
    graph: Graph,
    saliency: Mapping[str, Array],
    blocks: Mapping[str, Block],
    shares: Mapping[str, float],
    seed: int = 0,
    still: AbstractSet[str] = frozenset(),
) -> Rearrangement:
    """Finds places for the channels that let the layers keep as much saliency as a bounded search finds.

    Per layer to be pruned: saliency in the shape of its weight, not negative, of any scale, since layers count alike;
    its block; the share of its blocks that go. Layers that ``shares`` leaves out or gives 0 have no say. Raises
    OptionError for layers that cannot be pruned so. What ``still`` names, and what is tied to it, keeps its places. The same
    arguments give the same result.
    """
    nodes = {n.name: n for n in graph.nodes}
    for name, share in shares.items():
        _check(name, nodes.get(name), saliency.get(name), blocks, share)
    pruned = [n for n in graph.nodes if shares.get(n.name)]
    layers = {n.name: BlockSaliency(n.name, saliency[n.name], blocks[n.name], shares[n.name]) for n in pruned}
    sets = [s for s in permutation_sets(graph) if _concerned(s, pruned) and not s.places.keys() & still]
    found = search(graph, layers, sets, seed)
    orders = value_orders(graph, sets, found)
    retention = {}
    for node in pruned:
        name, block, share = node.name, blocks[node.name], shares[node.name]
        permuted = BlockSaliency(name, along(orders, node, saliency[name]), block, share)
        retention[name] = LayerRetention(block, share, layers[name].retained(), permuted.retained())
    moved = [
        MovedSet(
            s.size, int(np.sum(order != np.arange(s.size))), tuple(n.name for n in _concerned(s, pruned))
        )
        for s, order in zip(sets, found, strict=True)
    ]
    return Rearrangement(orders, retention, moved, _nodes(graph))


def _check(
    name: str, node: Node | None, saliency: Array | None, blocks: Mapping[str, Block], share: float
) -> None:
    if not 0 <= share < 1:
        raise OptionError(f"{name}: a share of {share} of the blocks cannot go; give one from 0 to below 1")
    if not share:
        return
    if node is None:
        raise OptionError(f"{name}: the graph has no such layer to rearrange for")
    if not is_dense(node):
        raise OptionError(
            f"{name}: only dense convolutions and gemms are pruned, this is a grouped one or no layer"
        )
    shape = node.weights["weight"].shape
    if name not in blocks or saliency is None or saliency.shape != shape:
        found = "none" if saliency is None else str(list(saliency.shape))
        raise OptionError(f"{name}: give a block and a saliency of shape {list(shape)} (got {found})")


def _concerned(moving: PermutationSet, layers: list[Node]) -> list[Node]:
    """The layers that read or write channels of the set."""
    return [n for n in layers if n.inputs[0] in moving.places or n.output in moving.places]


def _nodes(graph: Graph) -> tuple[tuple[str, str, str], ...]:
    return tuple((n.op, n.name, n.output) for n in graph.nodes)
