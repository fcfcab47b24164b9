"""What each weight is worth: by size, by slope, or by curvature of the loss.

magnitude: w^2. first: |w dL/dw| ("Importance Estimation for Neural Network Pruning", arXiv 1906.10771). second: w^2 E[(dL/dw)^2],
the diagonal of optimal brain damage with the empirical Fisher information for the curvature ("Optimal Brain Damage",
LeCun 1989). Gradients are averaged over the steps since the last choice.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch

from lacewing.converter.ir import Node
from lacewing.converter.training.network import Network

Array = npt.NDArray[Any]
SALIENCIES = ("magnitude", "first", "second")
_DECAY = 0.95  # of the running means, per step


class Saliency:
    """Running means of the gradients of some layers' weights, and the scores that follow from them."""

    def __init__(self, kind: str, nodes: list[Node]) -> None:
        self._kind, self._nodes = kind, nodes
        self._mean: dict[str, torch.Tensor] = {}
        self._square: dict[str, torch.Tensor] = {}

    def observe(self, network: Network) -> None:
        """Takes in the gradients of one step."""
        for node in self._nodes:
            gradient = network.weight(node).grad
            if gradient is None:
                continue
            _follow(self._mean, node.name, gradient)
            _follow(self._square, node.name, gradient.square())

    def scores(self, network: Network) -> dict[str, Array]:
        """{layer: saliency of each weight, in its shape}."""
        return {n.name: self._score(network.weight(n).detach(), n.name) for n in self._nodes}

    def growth(self, network: Network) -> dict[str, Array]:
        """{layer: how much the loss would gain from each weight that is zero}: its squared mean gradient."""
        return {
            n.name: _numpy(self._mean.get(n.name, torch.zeros_like(network.weight(n))).square())
            for n in self._nodes
        }

    def state(self) -> dict[str, dict[str, torch.Tensor]]:
        """What a checkpoint needs."""
        return {"mean": self._mean, "square": self._square}

    def load(self, state: dict[str, dict[str, torch.Tensor]], device: torch.device) -> None:
        """Goes on from a checkpoint, on the network's device."""
        self._mean = {name: mean.to(device) for name, mean in state["mean"].items()}
        self._square = {name: square.to(device) for name, square in state["square"].items()}

    def _score(self, weight: torch.Tensor, name: str) -> Array:
        if self._kind == "magnitude" or name not in self._mean:
            return _numpy(weight.square())
        if self._kind == "first":
            return _numpy((weight * self._mean[name]).abs())
        return _numpy(weight.square() * self._square[name])


def _follow(means: dict[str, torch.Tensor], name: str, value: torch.Tensor) -> None:
    if name not in means:
        means[name] = value.detach().clone()
    else:
        means[name].lerp_(value.detach(), 1 - _DECAY)


def _numpy(tensor: torch.Tensor) -> Array:
    return tensor.contiguous().cpu().double().numpy()
