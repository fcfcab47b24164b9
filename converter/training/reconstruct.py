"""Block reconstruction: what pruning left of the network is trained, a stretch of it at a time, to give the float values.

After BRECQ (Li et al., ICLR 2021, arXiv 2102.05426), there for rounding. Least squares mend one layer (converter/sparsity);
a stretch of layers with its activations mends more, and few samples suffice, for each has thousands of pixels:

  float    ──► stretch ──► v ──► stretch ──► w
                           ≈               ≈        squared errors, one after the other
  pruned   ──► stretch ──► v'──► stretch ──► w'
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lacewing.converter.ir import Graph, Node
from lacewing.converter.progress import Progress
from lacewing.converter.training.data import Data
from lacewing.converter.training.masks import BlockMasks
from lacewing.converter.training.network import Network

Values = dict[str, Tensor]  # name -> [N, ...] f32

_ELEMENTS = 1 << 28  # of one value over all samples
_BATCH = 8  # samples
_RATE = 0.003  # Adam's, in parts of a tensor's root mean square
_LEAST_SCALE = 1e-4  # of a tensor, for its rate
_LEAST_POWER = 1e-12  # of a value, to divide by


@dataclass(frozen=True)
class Stretch:
    """Consecutive nodes, and the values through which all that they compute comes in and goes out."""

    inputs: list[str]
    nodes: list[Node]
    outputs: list[str]

    def graph(self, whole: Graph) -> Graph:
        """The stretch as a graph with the weights that ``whole`` has."""
        own = {n.name: n for n in whole.nodes}
        values = {*self.inputs, *(v for n in self.nodes for v in (*n.inputs, n.output))}
        return Graph(
            whole.name,
            self.inputs,
            self.outputs,
            [own[n.name] for n in self.nodes],
            {v: whole.shapes[v] for v in values},
        )


@dataclass(frozen=True)
class Target:
    """What a stretch is to give, and the power of each value, relative to which its error counts."""

    values: Values
    power: dict[str, float]

    @staticmethod
    def of(values: Values) -> Target:
        """Measures the power."""
        return Target(values, {v: _mean_square(a) + _LEAST_POWER for v, a in values.items()})

    def distance(self, given: Values) -> float:
        """The squared error of all samples, relative to the power, summed over the values."""
        return sum(_mean_square(given[v], a) / self.power[v] for v, a in self.values.items())

    def loss(self, given: Values, pick: Tensor) -> Tensor:
        """``distance``, 0-dimensional with gradients, of the samples ``pick`` alone."""
        return torch.stack(
            [(given[v] - a[pick]).square().mean() / self.power[v] for v, a in self.values.items()]
        ).sum()


def reconstruct(
    graph: Graph,
    reference: Graph,
    masks: BlockMasks,
    data: Data,
    epochs: int,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> None:
    """Trains the weights of ``graph``, which ``masks`` has pruned, in place; ``reference`` is the float network.

    A stretch that comes no closer to the float values stays as it is.
    """
    parts = stretches(graph, {n.name for n in masks.nodes()})
    wanted = _samples(data, graph, parts, device)
    current = dict(wanted)
    generator = torch.Generator().manual_seed(seed)
    for i, part in enumerate(parts):
        wanted = _apply(Network(part.graph(reference)), wanted, device)
        before = part.graph(graph)
        result = _apply(Network(before), current, device)
        if any(n.name in masks.keep for n in part.nodes):
            network, target = Network(before).to(device).eval(), Target.of(wanted)
            _train(network, masks, current, target, epochs, generator)
            trained = _apply(network, current, device)
            if target.distance(trained) < target.distance(result):
                result = trained
                _take(part.nodes, network.cpu().to_graph())
        current = result
        progress("reconstruction", (i + 1) / len(parts))


def stretches(graph: Graph, pruned: set[str]) -> list[Stretch]:
    """The network cut where one value is all that goes on, and a pruned layer lies behind.

    Not where that value is the largest so far: the narrow end of an inverted bottleneck is a better place than its middle.
    """
    last = {v: i for i, n in enumerate(graph.nodes) for v in n.inputs}
    last |= dict.fromkeys(graph.outputs, len(graph.nodes))
    found: list[Stretch] = []
    begin, inputs, live = 0, list(graph.inputs), set(graph.inputs)
    for i, node in enumerate(graph.nodes):
        live = {v for v in (*live, node.output) if last.get(v, -1) > i}
        nodes = graph.nodes[begin : i + 1]
        if i + 1 == len(graph.nodes):
            found.append(Stretch(inputs, nodes, list(graph.outputs)))
        elif live == {node.output} and pruned & {n.name for n in nodes} and _narrows(graph, nodes):
            found.append(Stretch(inputs, nodes, [node.output]))
            begin, inputs = i + 1, [node.output]
    return found


def _narrows(graph: Graph, nodes: Sequence[Node]) -> bool:
    sizes = [math.prod(graph.shapes[n.output]) for n in nodes]
    return sizes[-1] <= max(sizes[:-1], default=0)


def _samples(data: Data, graph: Graph, parts: Sequence[Stretch], device: torch.device) -> Values:
    """As many samples as memory allows, evenly spread, each as ``data`` gives it once."""
    largest = max(math.prod(graph.shapes[v]) for p in parts for v in (*p.inputs, *p.outputs))
    count = max(1, min(len(data), _ELEMENTS // largest))
    indices = [i * len(data) // count for i in range(count)]
    generator = torch.Generator().manual_seed(0)
    taken = [data.batch(indices[i : i + _BATCH], generator)[0] for i in range(0, count, _BATCH)]
    return {v: torch.cat([inputs[v] for inputs in taken]).to(device) for v in graph.inputs}


def _apply(network: Network, values: Values, device: torch.device) -> Values:
    network.to(device).eval()
    count, results = len(next(iter(values.values()))), {}
    for i in range(0, count, _BATCH):
        with torch.no_grad():
            part = network({v: a[i : i + _BATCH] for v, a in values.items()})
        for v, a in part.items():
            if v not in results:
                results[v] = _room(a, count)
            results[v][i : i + _BATCH] = a
    return results


def _room(some: Tensor, count: int) -> Tensor:
    """For ``count`` samples like ``some``. Parts that are put together at the end would need all of the memory twice."""
    last = some.dim() == 4 and some.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if last else torch.contiguous_format
    return torch.empty((count, *some.shape[1:]), dtype=some.dtype, device=some.device, memory_format=layout)


def _mean_square(a: Tensor, less: Tensor | None = None) -> float:
    """Of ``a`` - ``less``, by batches: the difference and the square of all samples would be as large as they are."""
    total = 0.0
    for i in range(0, len(a), _BATCH):
        part = a[i : i + _BATCH]
        total += float((part if less is None else part - less[i : i + _BATCH]).square().sum())
    return total / a.numel()


def _train(
    network: Network,
    masks: BlockMasks,
    values: Values,
    target: Target,
    epochs: int,
    generator: torch.Generator,
) -> None:
    """Adam with a rate for each tensor by its size, falling along half a cosine."""
    parameters = list(network.parameters())
    rates = [_RATE * max(float(p.detach().square().mean().sqrt()), _LEAST_SCALE) for p in parameters]
    groups = [{"params": [p], "lr": rate} for p, rate in zip(parameters, rates, strict=True)]
    optimizer = torch.optim.Adam(groups)
    count = len(next(iter(values.values())))
    steps = epochs * math.ceil(count / _BATCH)
    for step in range(steps):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        pick = torch.randint(count, (min(_BATCH, count),), generator=generator)
        results = network({v: a[pick] for v, a in values.items()})
        loss = target.loss(results, pick)
        optimizer.zero_grad(set_to_none=True)
        # torch gives ``backward`` no types.
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        masks.apply(network)


def _take(nodes: Sequence[Node], trained: Graph) -> None:
    weights = {n.name: n.weights for n in trained.nodes}
    for node in nodes:
        node.weights = weights[node.name]
