"""The blocks that are left while a network trains: chosen by saliency, kept at zero after every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lacewing.converter.ir import Graph, Node
from lacewing.converter.sparsity.budget import LayerBudget
from lacewing.converter.sparsity.columns import from_columns, padded_rows, to_columns
from lacewing.converter.sparsity.obs import Block
from lacewing.converter.sparsity.prune import cheapest, quads_of, spared
from lacewing.converter.training.network import Network
from lacewing.converter.training.quantized import QuantizedNetwork

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


class BlockMasks:
    """One mask of blocks per pruned layer; ``keep[name]`` is [rows][blocks] bool, everything at first."""

    def __init__(self, graph: Graph, budgets: Mapping[str, LayerBudget]) -> None:
        self.budgets = {name: b for name, b in budgets.items() if b.share}
        self._nodes = {n.name: n for n in graph.nodes if n.name in self.budgets}
        self.keep: dict[str, Mask] = {}
        self._weights: dict[str, torch.Tensor] = {}  # masks in the shape of the weights
        for name, budget in self.budgets.items():
            shape = block_sums(np.zeros(self._nodes[name].weights["weight"].shape), budget.block).shape
            self._set(name, np.ones(shape, np.bool_))

    def chosen(
        self, saliency: Mapping[str, Array], part: float, growth: Mapping[str, Array], regrow: float
    ) -> dict[str, Mask]:
        """The most salient blocks, which are to stay when ``part`` of the final sparsity is gone; for ``set``.

        saliency, growth: per weight, in the shape of the weights. ``regrow`` of the kept blocks may be ones that were
        gone before, those with the largest ``growth``.
        """
        found = {}
        for name, budget in self.budgets.items():
            scores = block_sums(saliency[name], budget.block)
            wanted = scores.size - round(budget.share * part * scores.size)
            old = self.keep[name]
            back = min(int(regrow * wanted), int((~old).sum())) if regrow else 0
            present = np.where(old, scores, -np.inf)
            keep = _largest(spared(present) if budget.head else present, min(wanted - back, int(old.sum())))
            candidates = np.where(old, -np.inf, block_sums(growth[name], budget.block)) if back else scores
            found[name] = keep | _largest(np.where(keep, -np.inf, candidates), wanted - int(keep.sum()))
        return found

    def set(self, keep: Mapping[str, Mask]) -> None:
        """Keeps these blocks of each layer from here on."""
        for name, mask in keep.items():
            self._set(name, mask)

    def apply(self, network: Network | QuantizedNetwork) -> None:
        """Sets the weights of dropped blocks to zero, in place; a part of the network does too."""
        with torch.no_grad():
            for node in network.graph.nodes:
                name = node.name
                if name not in self._weights:
                    continue
                weight = network.weight(node)
                if self._weights[name].device != weight.device:
                    self._weights[name] = self._weights[name].to(weight.device)
                weight *= self._weights[name]

    def quads(self, name: str) -> Mask | None:
        """[rows][K4]: what ``LayerPlan.keep`` wants; None for a layer that was not pruned."""
        if name not in self.keep:
            return None
        return quads_of(self.keep[name], self.budgets[name].block)

    def nodes(self) -> list[Node]:
        """The pruned layers."""
        return list(self._nodes.values())

    def sparsity(self) -> float:
        """The share of the blocks that are gone, over the pruned layers."""
        total = sum(k.size for k in self.keep.values())
        return 1 - sum(int(k.sum()) for k in self.keep.values()) / total if total else 0.0

    def _set(self, name: str, keep: Mask) -> None:
        self.keep[name] = keep
        block, shape = self.budgets[name].block, self._nodes[name].weights["weight"].shape
        rows = np.repeat(keep, block.rows, axis=0)[: shape[0]]
        columns = np.repeat(rows, block.columns, axis=1).astype(np.float32)
        self._weights[name] = torch.from_numpy(from_columns(columns, shape))


def block_sums(values: Array, block: Block) -> Array:
    """[rows][blocks]: ``values``, shaped like a layer's weights, added up over each block."""
    columns = padded_rows(to_columns(values), block.rows)
    split = columns.reshape(-1, block.rows, columns.shape[1] // block.columns, block.columns)
    return np.asarray(split.sum(axis=(1, 3)))


def _largest(scores: Array, count: int) -> Mask:
    return cheapest(-scores, max(count, 0))
