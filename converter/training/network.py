"""The IR as a trainable torch module: float32, batch norms kept, any batch size."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from lacewing.converter.errors import Problem, UnsupportedModelError
from lacewing.converter.ir import Graph, Node
from lacewing.converter.ir_to_onnx import is_batchable
from lacewing.converter.training.first_samples import first
from lacewing.converter.training.operators import OPERATORS, batch_norm, clamp

_BUFFERS = ("mean", "variance")  # of a batch norm: followed, not learned
_BATCH_NORM = "batch_norm"
_MOMENTUM = 0.1
NOTHING: Mapping[str, int] = MappingProxyType({})  # wanted but the outputs


class Network(nn.Module):
    """A graph whose weights are torch parameters, on whatever device the module is moved to.

    ``forward`` takes {input name: [N, ...] f32} and gives {value: [N, ...]} of the outputs, and of each value that is
    ``wanted`` so many of the first samples, all of them where it is an output.
    Raises UnsupportedModelError for a graph whose axis 0 is not the batch everywhere.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        check_trainable(graph)
        self.graph = graph
        self.momentum = _MOMENTUM  # with which the running moments of batch norms follow each batch's
        for node in graph.nodes:
            for name, array in node.weights.items():
                tensor = torch.from_numpy(array.copy()).float()
                if is_constant(node, name):
                    self.register_buffer(key(node, name), tensor)
                else:
                    self.register_parameter(key(node, name), nn.Parameter(tensor))

    @property
    def has_batch_norms(self) -> bool:
        """Whether any batch norm is not folded."""
        return any(node.op == _BATCH_NORM for node in self.graph.nodes)

    def weight(self, node: Node, name: str = "weight") -> Tensor:
        """A node's weight, the trained tensor itself."""
        found = getattr(self, key(node, name))
        assert isinstance(found, Tensor)
        return found

    def forward(self, inputs: Mapping[str, Tensor], wanted: Mapping[str, int] = NOTHING) -> dict[str, Tensor]:
        """Runs the network; values that no later node reads are freed on the way."""
        return run_nodes(self.graph, inputs, wanted, self._run)

    def _run(self, node: Node, inputs: list[Tensor]) -> Tensor:
        weights = {name: self.weight(node, name) for name in node.weights}
        if node.op == _BATCH_NORM:
            result = batch_norm(node, weights, inputs[0], self.training, self.momentum)
        else:
            result = OPERATORS[node.op](node, weights, inputs)
        return clamp(result, *node.attrs["clip"]) if "clip" in node.attrs else result

    def to_graph(self) -> Graph:
        """A copy of the graph with the weights as they are now."""
        graph = copy.deepcopy(self.graph)
        for node in graph.nodes:
            node.weights = {
                name: self.weight(node, name).detach().float().cpu().contiguous().numpy().copy()
                for name in node.weights
            }
        return graph


def run_nodes(
    graph: Graph,
    inputs: Mapping[str, Tensor],
    wanted: Mapping[str, int],
    run: Callable[[Node, list[Tensor]], Tensor],
) -> dict[str, Tensor]:
    """The graph's outputs and what is ``wanted``, in this order; run: a node's result from what it reads."""
    kept = counts(graph, inputs, wanted)
    last_use = {v: i for i, n in enumerate(graph.nodes) for v in n.inputs}
    known = {name: inputs[name] for name in graph.inputs}
    for i, node in enumerate(graph.nodes):
        known[node.output] = run(node, [known[v] for v in node.inputs])
        for value in node.inputs:
            if last_use[value] == i and value not in kept:
                known.pop(value, None)
    return {value: first(known[value], count) for value, count in kept.items()}


def counts(graph: Graph, inputs: Mapping[str, Tensor], wanted: Mapping[str, int]) -> dict[str, int]:
    """{value: samples of it} that ``forward`` gives: outputs are whole."""
    whole = dict.fromkeys(graph.outputs, len(inputs[graph.inputs[0]]))
    return {**whole, **wanted, **whole}


def is_constant(node: Node, name: str) -> bool:
    """Whether training leaves a weight alone: what a batch norm follows, convs that only select channels, and offsets of
    zero: a pure scaling folds into a layer with padding, and as anything else it would become a layer of its own."""
    if node.op == _BATCH_NORM:
        return name in _BUFFERS
    if node.op == "affine" and name == "offset":
        return not node.weights[name].any()
    return bool(node.attrs.get("fixed"))


def key(node: Node, name: str) -> str:
    """The name of a node's weight among the module's parameters, which may hold no dots."""
    return f"{node.name}:{name}".replace(".", "|")


def check_trainable(graph: Graph) -> None:
    """Raises UnsupportedModelError where samples of a batch would mix or an operator has no gradient."""
    known = {*OPERATORS, _BATCH_NORM}
    found = [
        Problem(n.name, n.op, "", "cannot be trained", "convert without --finetune")
        for n in graph.nodes
        if n.op not in known
    ]
    if not is_batchable(graph):
        found.append(
            Problem(
                graph.name,
                "graph",
                "batch",
                "axis 0 is not the batch of every value",
                "train outside Lacewing",
            )
        )
    if found:
        raise UnsupportedModelError(found)
