"""What dropping each block or each input channel of each layer would cost, from calibration data: second-order scores."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from lacewing.converter.ir import Graph, Node
from lacewing.converter.quantization.layerwise import walk_float
from lacewing.converter.sparsity import moments, obs
from lacewing.converter.sparsity.columns import padded_rows, to_columns
from lacewing.format.description import QUAD
from lacewing.format.model import ceil_div

Array = npt.NDArray[Any]
Scores = dict[obs.Block, Array]
Found = TypeVar("Found")


def survey(
    graph: Graph, blocks: Mapping[str, Sequence[obs.Block]], inputs: Mapping[str, Array], seed: int
) -> dict[str, Scores]:
    """Per layer of ``blocks`` and block size [blocks] f64, rising: the error of dropping each block alone.

    Errors are relative to the power of the layer's output. inputs: name -> [N, ...] f32.
    """

    def scores(layer: _Layer) -> Scores:
        return {block: np.sort(layer.scores(block), axis=None) for block in blocks[layer.name]}

    return _visited(graph, blocks, inputs, seed, scores)


def survey_channels(
    graph: Graph, layers: Iterable[str], inputs: Mapping[str, Array], seed: int
) -> dict[str, Array]:
    """Per layer [C] f64: the relative error of losing each input channel alone, at all taps and for all outputs."""
    return _visited(graph, set(layers), inputs, seed, _Layer.channel_scores)


def _visited(
    graph: Graph,
    layers: Container[str],
    inputs: Mapping[str, Array],
    seed: int,
    visit: Callable[[_Layer], Found],
) -> dict[str, Found]:
    generator = np.random.default_rng(seed)
    return {
        node.name: visit(_Layer.seen(node, values[node.inputs[0]], generator))
        for node, values, _ in walk_float(graph, inputs)
        if node.name in layers
    }


@dataclass(frozen=True)
class _Layer:
    """weight [O][K] f64, ordered as in the file; inverse [K,K] f64 of the inputs' moments; power of the output."""

    name: str
    channels: int
    weight: Array
    inverse: Array
    power: float

    @staticmethod
    def seen(node: Node, source: Array, generator: np.random.Generator) -> _Layer:
        """The layer on ``source`` [N,C,...]."""
        hessian = moments.collect(node, source, source, generator).hessian
        weight = to_columns(node.weights["weight"]).astype(np.float64)
        power, channels = obs.power(weight, hessian), node.weights["weight"].shape[1]
        if power <= obs.LEAST_POWER * np.square(weight).sum():
            # Inputs that never vary say nothing of the weights; errors relative to no power would outweigh all layers'.
            hessian = np.eye(len(hessian))
            power = obs.power(weight, hessian)
        return _Layer(node.name, channels, weight, obs.inverse_moment(hessian), max(power, 1e-30))

    def scores(self, block: obs.Block) -> Array:
        """[rows][blocks]."""
        return obs.block_scores(padded_rows(self.weight, block.rows), self.inverse, block) / self.power

    def channel_scores(self) -> Array:
        """[C]: columns of one channel brought together are one block of each row."""
        padded = ceil_div(self.channels, QUAD) * QUAD
        order = np.arange(self.weight.shape[1]).reshape(-1, padded).T.ravel()
        taps = obs.Block(1, len(order) // padded)
        scores = obs.block_scores(self.weight[:, order], self.inverse[np.ix_(order, order)], taps)
        return np.asarray(scores.sum(axis=0)[: self.channels] / self.power)
