"""NNCF as the engine of quantization-aware training: its quantizers at the engine's places, its parameters read exactly."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import torch
from graphs import RELU, RELU6, conv, residual_network, samples
from test_quantized_network import assert_engine_bits, gate_network, stacked
from test_training import integers_of, tuned
from training_cases import Stripes, recipe

import lacewing
from lacewing.converter.calibration import open_dataset
from lacewing.converter.errors import OptionError, UnsupportedModelError
from lacewing.converter.ir import Graph, Node
from lacewing.converter.progress import silent
from lacewing.converter.quantization.assign import assign
from lacewing.converter.quantization.collect import collect_statistics
from lacewing.converter.quantization.sharing import SharedQuantization
from lacewing.converter.training import nncf_quantizers
from lacewing.converter.training.loop import Stage
from lacewing.converter.training.masks import BlockMasks
from lacewing.converter.training.nncf_engine import NncfNetwork
from lacewing.converter.training.nncf_quantizers import decide, load_nncf, read_value, value_quantizer


def tiny_network(seed=0):
    """Unevenly padded stem, depthwise, pointwise, residual sum, pools, gemm: 12x12 to 4 classes."""
    rng = np.random.default_rng(seed)
    shapes = {"x": (1, 3, 12, 12)}
    window = {"kernel": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0)}
    nodes = [
        conv(rng, shapes, "stem", "x", 8, pads=(0, 0, 1, 1), strides=(2, 2), clip=RELU),
        conv(rng, shapes, "down", "stem", 8, pads=(0, 1, 2, 1), clip=RELU),
        conv(rng, shapes, "deep", "down", 8, groups=8, clip=RELU6),
        conv(rng, shapes, "project", "deep", 8, kernel=1, pads=(0, 0, 0, 0)),
        Node("add", "sum", ["down", "project"], "sum"),
        Node("max_pool", "pool", ["sum"], "pool", window),
        Node("avg_pool", "mean", ["pool"], "mean", {**window, "kernel": (3, 3), "include_pad": False}),
        Node("reshape", "flat", ["mean"], "flat", {"shape": (1, 8)}),
    ]
    weights = {"weight": rng.normal(size=(4, 8)), "bias": rng.normal(size=4) * 0.1}
    nodes.append(Node("gemm", "y", ["flat"], "y", {}, {k: a.astype(np.float32) for k, a in weights.items()}))
    shapes |= {"sum": (1, 8, 6, 6), "pool": (1, 8, 3, 3), "mean": (1, 8, 1, 1), "flat": (1, 8), "y": (1, 4)}
    return Graph("tiny", ["x"], ["y"], nodes, shapes)


def made(graph):
    """The graph's network with NNCF's quantizers, calibrated on random samples."""
    dataset = open_dataset(samples(graph), {v: graph.shapes[v] for v in graph.inputs})
    plan = assign(graph, collect_statistics(graph, dataset, 0, silent), "minmax")
    return NncfNetwork(graph, plan, stacked(graph, 8, 1))


def tensors(graph, count=6, seed=7):
    return {v: torch.from_numpy(a) for v, a in stacked(graph, count, seed).items()}


def train(network, steps=5, rate=0.003):
    """Some steps towards labels drawn at random."""
    inputs = tensors(network.graph, 16)
    targets = torch.randint(0, 4, (16,), generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=rate)
    for _ in range(steps):
        logits = network.train()(inputs)[network.graph.outputs[0]]
        torch.nn.functional.cross_entropy(logits, targets).backward()
        optimizer.step()
        optimizer.zero_grad()
    return network


def equal_levels(network, count=50):
    """(share of levels, share of top-1 answers) that NNCF's arithmetic has in common with the engine's."""
    plan, inputs = network.value_plan(), tensors(network.graph, count)
    values = [v for v in network.graph.shapes if not plan.is_float(v)]
    with torch.no_grad():
        ours, theirs = (network.train(mode)(inputs, dict.fromkeys(values, count)) for mode in (False, True))
    levels = [[torch.round(r[v].double() / plan.values[v].scale) for v in values] for r in (ours, theirs)]
    same = [(a == b).flatten() for a, b in zip(*levels, strict=True)]
    top = [r[network.graph.outputs[0]].argmax(1) for r in (ours, theirs)]
    return float(torch.cat(same).double().mean()), float((top[0] == top[1]).double().mean())


def test_nncf_quantizes_every_layer_and_the_values_between():
    graph = tiny_network()
    decided = decide(graph, stacked(graph))
    assert list(decided.weights) == ["stem", "down", "deep", "project", "y"]
    assert set(decided.ranges) >= {"x", "stem", "down", "deep", "project", "sum", "mean"}
    assert decided.ranges["stem"][0] == 0 and decided.ranges["project"][0] < 0


def test_every_u7_value_is_rounded_to_128_levels_per_tensor():
    network = made(tiny_network())
    plan = network.value_plan()
    for value in network.graph.shapes:
        if value != "y":  # float32, and read by nobody
            quantizer = network.value_quantizers[str(network._sets[value])]
            assert (quantizer.level_low, quantizer.level_high) == (0, 127), value
            assert all(p.numel() == 1 for p in quantizer.parameters()), value
    assert {v: plan.values[v].zero_point for v in ("stem", "down", "deep")} == {
        "stem": 0,
        "down": 0,
        "deep": 0,
    }
    assert plan.values["project"].zero_point > 0


@pytest.mark.parametrize("build", [tiny_network, residual_network, gate_network])
def test_evaluation_has_the_engines_bits_before_and_after_training(build):
    network = made(build())
    assert_engine_bits(network)
    before = network.value_plan().values
    assert_engine_bits(train(network))
    after = network.value_plan().values
    learned = [v for v in network.graph.nodes[0].inputs if after[v] != before[v]]
    assert not learned, "the scale of a network input moved"
    assert after[network.graph.nodes[0].output] != before[network.graph.nodes[0].output]


@pytest.mark.parametrize("build", [tiny_network, residual_network, gate_network])
def test_nncf_computes_nearly_every_level_as_the_engine_does(build):
    network = train(made(build()))
    levels, top = equal_levels(network)
    print(f"{network.graph.name}: levels {levels:.5f}, top-1 {top:.3f}")
    assert levels > 0.999
    assert top >= 0.98


def test_values_that_share_a_quantization_agree_after_training():
    network = train(made(residual_network()))
    plan = network.to_plan()
    for members in SharedQuantization(network.graph, plan.float_values).members().values():
        assert len({plan.values[v] for v in members}) == 1, members


def test_everything_but_input_scales_is_learned():
    network = made(tiny_network())
    network.train()(tensors(network.graph))["y"].square().sum().backward()
    frozen = {name for name, p in network.named_parameters() if p.is_floating_point() and not p.requires_grad}
    source = f"value_quantizers.{network._sets['x']}."
    assert frozen == {"log_scales", f"{source}input_low", f"{source}_input_range_param_storage"}
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None or not parameter.requires_grad, name


def test_the_plan_holds_the_weights_that_training_saw():
    network = train(made(tiny_network()))
    plan = network.to_plan()
    for node in network.layers():
        layer = plan.layers[node.name]
        with torch.no_grad():
            seen = network.weight_quantizers[f"{node.name}:weight"](network.weight(node)).numpy()
        steps = layer.weight_scales(plan.values[node.inputs[0]].scale)
        np.testing.assert_array_equal(steps, layer.scales)
        per_channel = steps.reshape(-1, *([1] * (seen.ndim - 1)))
        np.testing.assert_array_equal(np.rint(seen / per_channel), np.rint(layer.weight / per_channel))
        np.testing.assert_allclose(layer.weight, seen, rtol=1e-5, atol=1e-7)


def test_a_channel_without_weights_stays_empty():
    graph = tiny_network()
    graph.nodes[3].weights["weight"][2:6] = 0
    network = made(graph)
    assert_engine_bits(network)
    assert not network.to_plan().layers["project"].weight[2:6].any()


@pytest.mark.parametrize(
    "wanted", [(0.0, 3.0), (-1.0, 2.0), (0.5, 2.0), (-3.0, -1.0), (0.0, 0.0), (-1e-7, 8.0)]
)
def test_a_quantizer_reads_back_as_it_rounds(wanted):
    quantizer = value_quantizer(wanted)
    found = read_value(quantizer)
    reals = torch.rand(4000, generator=torch.Generator().manual_seed(1)) * 8 - 4  # off the ties
    with torch.no_grad():
        rounded = quantizer(reals).numpy()
    np.testing.assert_allclose(rounded, found.simulate(reals.numpy()), atol=found.scale * 1e-4)


def test_scales_are_not_decayed():
    network = made(tiny_network())
    stage = Stage("quantized", network, recipe(), 1, 1e-3, BlockMasks(network.graph, {}))
    decayed = {id(p) for g in stage.optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    assert decayed == {id(network.weight(n)) for n in network.layers()}


def test_a_layer_left_in_float_is_refused(monkeypatch):
    found = load_nncf()
    quantize, scope = found.quantize, importlib.import_module("nncf").IgnoredScope(names=["step2/conv2d/0"])
    found.quantize = lambda *args, **told: quantize(*args, **told, ignored_scope=scope)
    monkeypatch.setattr(nncf_quantizers, "load_nncf", lambda: found)
    graph = tiny_network()
    with pytest.raises(UnsupportedModelError, match="conv 'deep', weight: NNCF leaves it in float") as caught:
        decide(graph, stacked(graph))
    assert [p.node for p in caught.value.problems] == ["deep"]


def test_without_nncf_the_recipe_says_what_to_install(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *rest: None if n == "nncf" else find(n, *rest))
    with pytest.raises(OptionError, match=r"pip install \"lacewing\[train\]\""):
        tuned(engine="nncf")


def test_an_unknown_engine_is_refused():
    with pytest.raises(OptionError, match="engine is one of lacewing, nncf, not 'tf'"):
        recipe(engine="tf")


def test_fine_tuning_with_nncf_keeps_the_masks_and_gives_the_engines_answers():
    result = tuned(engine="nncf")
    assert isinstance(result.network, NncfNetwork)
    assert result.metric["quantized"] > 0.9, result.metric
    pruned = {n: layer for n, layer in result.plan.layers.items() if layer.keep is not None}
    assert pruned
    images = Stripes(20, 9).images
    with torch.no_grad():
        ours = next(iter(result.network({"image": images}).values())).numpy()
    with lacewing.Session(integers_of(result)) as session:
        answers = [next(iter(session.run({"image": i[None].numpy()}).values())) for i in images]
    assert np.concatenate(answers).tobytes() == ours.tobytes()


@pytest.mark.slow
def test_nncf_neither_reports_nor_writes_to_the_home_folder(tmp_path):
    program = (
        "import sys; from lacewing.converter.training.nncf_quantizers import load_nncf, value_quantizer;"
        "import torch; value_quantizer((0, 1))(torch.ones(3)); import nncf.telemetry.wrapper as w;"
        "print(type(w.telemetry).__name__)"
    )
    home = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    found = subprocess.run(
        [sys.executable, "-c", program], env=home, capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "MagicMock\n"), found.stderr
    assert not (tmp_path / "intel").exists()
