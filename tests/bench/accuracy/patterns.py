"""Ways to take weights out that are compared: blocks, single weights, two of four, the converter's own mix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lacewing.converter.ir import Graph
from lacewing.converter.sparsity.budget import PRUNABLE, LayerBudget
from lacewing.converter.sparsity.channel_pruning import Pruning
from lacewing.converter.sparsity.obs import Block
from lacewing.converter.sparsity.saliency import weight_saliency
from lacewing.converter.training.finetune import FineTuning
from lacewing.converter.training.masks import BlockMasks, Mask, block_sums
from lacewing.format.description import QUAD

Array = npt.NDArray[np.float64]

SINGLE = Block(1, 1)


def _prunable(budget: LayerBudget) -> bool:
    """Whether blocks go from the layer, or might have if that made it faster."""
    return budget.share > 0 or budget.reason.startswith(PRUNABLE)


class SingleWeights(FineTuning):
    """Unstructured: each layer loses the same share as with blocks, weight by weight."""

    def plan(self) -> Pruning:
        """The shares of the options' own budget, of single weights; what blocks do not pay for loses the even share."""
        found = super().plan()
        even = self._options.sparsity
        budgets = {
            n: replace(b, block=SINGLE, share=b.share or even, reason="") if _prunable(b) else b
            for n, b in found.budgets.items()
        }
        return replace(found, budgets=budgets)


class TwoOfFour(FineTuning):
    """2:4: of four neighbouring input channels every output keeps the two best; 50 % of every layer."""

    def plan(self) -> Pruning:
        """Half of the single weights of every layer that can be pruned."""
        found = super().plan()
        budgets = {n: LayerBudget(SINGLE, 0.5) if _prunable(b) else b for n, b in found.budgets.items()}
        return replace(found, budgets=budgets)

    def masks(self, graph: Graph, budgets: Mapping[str, LayerBudget]) -> BlockMasks:
        """Masks of two in every four."""
        return _TwoOfFourMasks(graph, budgets)

    def prune(self, graph: Graph, masks: BlockMasks) -> None:
        """The two that matter most; training alone repairs."""
        masks.set(masks.chosen(weight_saliency(graph, masks.budgets, self._inputs), 1.0, {}, 0.0))


class _TwoOfFourMasks(BlockMasks):
    def chosen(
        self, saliency: Mapping[str, Array], part: float, growth: Mapping[str, Array], regrow: float
    ) -> dict[str, Mask]:
        """The two largest of each four once more than half of the way to the final sparsity is done, else three."""
        count, found = 2 if part >= 0.5 else 3, {}
        for name in self.budgets:
            fours = block_sums(saliency[name], SINGLE).reshape(-1, QUAD)
            best = np.argsort(-fours, axis=1, kind="stable")[:, :count]
            keep = np.zeros(fours.shape, np.bool_)
            np.put_along_axis(keep, best, True, axis=1)
            found[name] = keep.reshape(self.keep[name].shape)
        return found
