"""The trainable quantized network: in evaluation the engine's bits, in training its values and useful gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from graphs import RELU, RELU6, conv, residual_network, samples, single

import lacewing
from lacewing.converter.calibration import open_dataset
from lacewing.converter.errors import UnsupportedModelError
from lacewing.converter.ir import Graph, Node
from lacewing.converter.lowering.lower import lower
from lacewing.converter.progress import silent
from lacewing.converter.quantization.assign import assign
from lacewing.converter.quantization.collect import collect_statistics
from lacewing.converter.training.network import Network
from lacewing.converter.training.quantized import QuantizedNetwork
from lacewing.converter.training.rounding import rounded, to_levels

IMAGE = {"x": (1, 5, 9, 7)}


def quantized(graph):
    """The graph's trainable quantized network, ranges from random samples."""
    dataset = open_dataset(samples(graph), {v: graph.shapes[v] for v in graph.inputs})
    return QuantizedNetwork(graph, assign(graph, collect_statistics(graph, dataset, 0, silent), "minmax"))


def stacked(graph, count=6, seed=7):
    """{input: [count, ...]} as numpy."""
    return {v: np.concatenate([s[v] for s in samples(graph, count, seed)]) for v in graph.inputs}


def engine(network, inputs):
    """{output: [N, ...]} of the lowered file, sample by sample."""
    model = lower(network.graph, network.to_plan()).to_bytes()
    count = len(next(iter(inputs.values())))
    with lacewing.Session(model) as session:
        results = [session.run({v: a[i : i + 1] for v, a in inputs.items()}) for i in range(count)]
    return {v: np.concatenate([r[v] for r in results]) for v in network.graph.outputs}


def assert_engine_bits(network, seed=7):
    inputs = stacked(network.graph, seed=seed)
    with torch.no_grad():
        got = network.eval()({v: torch.from_numpy(a) for v, a in inputs.items()})
    for value, wanted in engine(network, inputs).items():
        ours = got[value].numpy()
        assert ours.dtype == np.float32
        assert ours.tobytes() == wanted.tobytes(), f"{value}: {np.abs(ours - wanted).max()} at most"


def _pool(op, **attrs):
    return Node(op, "y", ["x"], "y", {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 0, 1), **attrs})


def _affine():
    rng = np.random.default_rng(3)
    weights = {k: rng.normal(size=5).astype(np.float32) for k in ("scale", "offset")}
    return Node("affine", "y", ["x"], "y", {}, weights)


SLOPES = {"slope": np.array([0.1, 0.2, -0.3, 0.0, 1.5], np.float32)}
RESIZE = {"size": (13, 5), "coordinates": "half_pixel"}
ONE_OPERATOR = {
    "average": (_pool("avg_pool", include_pad=False), (1, 5, 4, 4)),
    "average_counts_padding": (_pool("avg_pool", include_pad=True, clip=RELU6), (1, 5, 4, 4)),
    "max": (_pool("max_pool"), (1, 5, 4, 4)),
    "affine": (_affine(), IMAGE["x"]),
    "clip": (Node("clip", "y", ["x"], "y", {"min": -0.5, "max": 0.75}), IMAGE["x"]),
    "prelu": (Node("prelu", "y", ["x"], "y", {}, SLOPES), IMAGE["x"]),
    "sigmoid": (Node("unary", "y", ["x"], "y", {"function": "sigmoid"}), IMAGE["x"]),
    "leaky": (Node("unary", "y", ["x"], "y", {"function": "leaky_relu", "alpha": 0.1}), IMAGE["x"]),
    "pad": (Node("pad", "y", ["x"], "y", {"pads": (1, 0, 2, 3)}), (1, 5, 12, 10)),
    "nearest": (Node("resize", "y", ["x"], "y", {"mode": "nearest", **RESIZE}), (1, 5, 13, 5)),
    "bilinear": (Node("resize", "y", ["x"], "y", {"mode": "bilinear", **RESIZE}), (1, 5, 13, 5)),
    "softmax": (Node("softmax", "y", ["x"], "y", {"axis": 1}), IMAGE["x"]),
    "transpose": (Node("transpose", "y", ["x"], "y", {"perm": (0, 2, 3, 1)}), (1, 9, 7, 5)),
    "reshape": (Node("reshape", "y", ["x"], "y", {"shape": (1, 315)}), (1, 315)),
}


def after_a_layer(node, shape):
    """conv, then the node on u7 levels."""
    shapes = dict(IMAGE)
    first = conv(np.random.default_rng(1), shapes, "x2", "x", 5)
    node = Node(node.op, node.name, ["x2"], node.output, node.attrs, node.weights)
    return Graph("one", ["x"], ["y"], [first, node], {**shapes, "y": shape})


def gate_network():
    """x * sigmoid(conv(mean(x))), then a gemm with many inputs: the widest sums."""
    rng = np.random.default_rng(5)
    shapes = {"x": (1, 8, 6, 6)}
    nodes = [conv(rng, shapes, "a", "x", 600, clip=RELU)]
    shapes |= {"mean": (1, 600, 1, 1)}
    window = {"kernel": (6, 6), "strides": (1, 1), "pads": (0, 0, 0, 0), "include_pad": False}
    nodes.append(Node("avg_pool", "mean", ["a"], "mean", window))
    nodes.append(conv(rng, shapes, "squeeze", "mean", 600, kernel=1, pads=(0, 0, 0, 0)))
    shapes |= {
        "gate": (1, 600, 1, 1),
        "scaled": (1, 600, 6, 6),
        "pooled": (1, 600, 1, 1),
        "flat": (1, 600),
        "y": (1, 7),
    }
    nodes += [
        Node("unary", "gate", ["squeeze"], "gate", {"function": "sigmoid"}),
        Node("mul", "scaled", ["a", "gate"], "scaled"),
        Node("avg_pool", "pooled", ["scaled"], "pooled", window),
        Node("reshape", "flat", ["pooled"], "flat", {"shape": (1, 600)}),
    ]
    weights = {
        "weight": rng.normal(size=(7, 600)).astype(np.float32),
        "bias": rng.normal(size=7).astype(np.float32),
    }
    nodes.append(Node("gemm", "y", ["flat"], "y", {}, weights))
    return Graph("gate", ["x"], ["y"], nodes, shapes)


@pytest.mark.parametrize("name", ONE_OPERATOR)
@pytest.mark.parametrize("alone", [True, False])
def test_each_operator_has_the_engines_bits(name, alone):
    node, shape = ONE_OPERATOR[name]
    assert_engine_bits(quantized(single(node, IMAGE, shape) if alone else after_a_layer(node, shape)))


@pytest.mark.parametrize("build", [residual_network, gate_network])
def test_whole_networks_have_the_engines_bits(build):
    assert_engine_bits(quantized(build()))


def test_after_training_steps_the_bits_are_still_the_engines():
    network = quantized(residual_network())
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    inputs = {v: torch.from_numpy(a) for v, a in stacked(network.graph).items()}
    before = network.value_plan().values["sum"].scale
    for _ in range(5):
        network.train()(inputs)["logits"].square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert network.value_plan().values["sum"].scale != before
    assert_engine_bits(network)


@pytest.mark.parametrize("build", [residual_network, gate_network])
def test_training_computes_what_evaluation_does_but_for_roundings_of_constants(build):
    network = quantized(build())
    inputs = {v: torch.from_numpy(a) for v, a in stacked(network.graph).items()}
    with torch.no_grad():
        exact, learned = (network.train(mode)(inputs) for mode in (False, True))
    for value, wanted in exact.items():
        noise = (learned[value] - wanted).square().mean() / wanted.square().mean()
        assert noise < 1e-4, f"{value}: {noise}"


def test_every_parameter_of_the_network_has_a_gradient():
    network = quantized(residual_network())
    network.train()({v: torch.from_numpy(a) for v, a in stacked(network.graph).items()})[
        "logits"
    ].sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


@pytest.mark.parametrize(("zero_point", "low", "high"), [(0, 0, 127), (64, 0, 127), (5, 5, 90), (-3, -3, -3)])
def test_levels_have_the_gradient_of_round_add_and_clamp(zero_point, low, high):
    """At the bounds, half way between levels, beyond float32's whole numbers, and where nothing is left between."""
    around = torch.arange(-6, 7) / 4
    edges = torch.cat(
        [around + low - zero_point, around + high - zero_point, torch.tensor([-1e30, 0.0, 1e30])]
    )
    given, same = edges.clone().requires_grad_(), edges.clone().requires_grad_()
    levels = to_levels(given, zero_point, low, high)
    expected = torch.clamp(rounded(same) + zero_point, low, high)
    assert torch.equal(levels, expected)
    weights = torch.arange(1.0, len(edges) + 1)
    (levels * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.equal(given.grad, same.grad), (given.grad, same.grad)
    assert 0 < int((given.grad == 0).sum()) < len(edges)


@pytest.mark.parametrize("of", [QuantizedNetwork, Network])
@pytest.mark.parametrize("count", [1, 3, 6])
def test_inner_values_are_of_the_first_samples_and_outputs_of_all(of, count):
    exact = quantized(residual_network())
    network = (exact if of is QuantizedNetwork else Network(exact.graph)).train()
    inputs = {v: torch.from_numpy(a) for v, a in stacked(network.graph).items()}
    assert len(inputs["x"]) == 6
    inner = next(n.output for n in network.graph.nodes if n.output not in network.graph.outputs)
    part = network(inputs, {inner: count, "logits": count})
    whole = network(inputs, {inner: 6})
    assert len(part[inner]) == count and torch.equal(part[inner], whole[inner][:count])
    assert torch.equal(part["logits"], whole["logits"]) and len(part["logits"]) == 6
    gradients = [
        torch.autograd.grad(v.square().sum(), list(network.parameters()), allow_unused=True)
        for v in (part[inner], whole[inner][:count])
    ]
    for got, wanted in zip(*gradients, strict=True):
        assert (got is None) == (wanted is None)
        if got is not None:
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def test_scales_of_network_inputs_stay():
    network = quantized(residual_network())
    with torch.no_grad():
        network.log_scales += 1
    given, now = network._plan.values, network.value_plan().values
    assert now["x"] == given["x"]
    assert now["sum"].scale == pytest.approx(given["sum"].scale * np.e, rel=1e-5)


def test_float_network_is_onnxruntimes():
    from lacewing.converter.execute import Executor

    for graph in (residual_network(), gate_network(), *(after_a_layer(*c) for c in ONE_OPERATOR.values())):
        inputs = stacked(graph)
        wanted = Executor(graph).run(inputs)
        with torch.no_grad():
            got = Network(graph).eval()({v: torch.from_numpy(a) for v, a in inputs.items()})
        for value in graph.outputs:
            np.testing.assert_allclose(
                got[value].numpy(), wanted[value], rtol=2e-5, atol=2e-5, err_msg=graph.name
            )


def test_float_network_gives_its_weights_back():
    graph = residual_network()
    again = Network(graph).to_graph()
    for a, b in zip(graph.nodes, again.nodes, strict=True):
        for name, array in a.weights.items():
            np.testing.assert_array_equal(array, b.weights[name])


def test_a_network_that_mixes_its_batch_is_refused():
    node = Node("transpose", "y", ["x"], "y", {"perm": (1, 0, 2, 3)})
    with pytest.raises(UnsupportedModelError, match="batch"):
        Network(single(node, IMAGE, (5, 1, 9, 7)))
