"""Scales, ranges, shared quantization, equalization, bias correction."""

import math

import numpy as np
import pytest
from graphs import RELU, conv, residual_network, samples
from hypothesis import given
from hypothesis import strategies as st

import lacewing
from lacewing.converter.calibration import open_dataset
from lacewing.converter.errors import CalibrationError, OptionError
from lacewing.converter.execute import Executor
from lacewing.converter.ir import Graph, Node
from lacewing.converter.lowering.lower import lower
from lacewing.converter.progress import silent
from lacewing.converter.quantization.assign import assign
from lacewing.converter.quantization.collect import collect_statistics
from lacewing.converter.quantization.equalize import equalize
from lacewing.converter.quantization.layerwise import simulated, sqnr_db, stack, walk
from lacewing.converter.quantization.parameters import Quantization
from lacewing.converter.quantization.plan import LayerPlan
from lacewing.converter.quantization.ranges import RANGES, mse_range
from lacewing.converter.quantization.statistics import Statistics
from lacewing.converter.quantization.weights import dequantize_weights, quantize_weights, weight_scales


def statistics_of(values):
    statistics = Statistics(values.size)
    statistics.add(values.astype(np.float32), np.random.default_rng(0))
    return statistics


def calibrated(graph):
    dataset = open_dataset(samples(graph), {v: graph.shapes[v] for v in graph.inputs})
    return dataset, collect_statistics(graph, dataset, 0, silent)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_zero_is_always_a_level(a, b):
    q = Quantization.from_range(min(a, b), max(a, b))
    assert 0 <= q.zero_point <= 127
    assert q.scale > 0
    assert q.simulate(np.zeros(1, np.float32))[0] == 0.0
    assert np.float32(q.scale) == q.scale


@given(st.floats(-50, 0), st.floats(0, 50), st.lists(st.floats(-60, 60, width=32), min_size=1, max_size=20))
def test_error_inside_the_range_is_at_most_one_step(low, high, values):
    q = Quantization.from_range(low, high)
    inside = np.clip(np.array(values, np.float32), *q.range)
    assert np.all(np.abs(q.simulate(inside) - inside) <= q.scale * 0.5001 + 1e-6)


def test_levels_of_infinite_clamps_are_the_ends():
    q = Quantization.from_range(-1, 1)
    assert (q.level(-math.inf), q.level(math.inf)) == (0, 127)


def test_mse_range_cuts_an_outlier_and_keeps_a_uniform_range():
    rng = np.random.default_rng(0)
    spread = rng.uniform(-1, 1, 200000)
    low, high = mse_range(statistics_of(spread))
    assert high == pytest.approx(1, abs=0.05)
    assert low == pytest.approx(-1, abs=0.05)
    low, high = mse_range(statistics_of(np.append(spread, 8.0)))
    assert high < 6


@pytest.mark.parametrize("name", list(RANGES))
def test_every_range_lies_inside_what_was_seen(name):
    values = np.random.default_rng(2).normal(size=5000)
    low, high = RANGES[name](statistics_of(values))
    assert values.min() - 1e-6 <= low < high <= values.max() + 1e-6


def test_unknown_range_is_refused():
    graph = residual_network()
    with pytest.raises(OptionError, match="minmax"):
        assign(graph, {}, "best")


def test_weights_use_more_than_half_the_range_and_never_minus_128():
    weight = np.random.default_rng(0).normal(size=(6, 5, 3, 3))
    scales = weight_scales(weight, np.zeros(6), 0.1)
    levels = quantize_weights(weight, scales)
    assert levels.min() >= -127
    assert np.all(np.abs(levels.reshape(6, -1).astype(int)).max(axis=1) >= 64)
    assert np.abs(dequantize_weights(levels, scales) - weight).max() <= scales.max() * 0.501


def test_large_bias_on_tiny_weights_still_fits_the_accumulator():
    scales = weight_scales(np.full((1, 4), 1e-12), np.array([50.0]), 1e-3)
    assert abs(50.0 / (1e-3 * scales[0])) <= 2**24 + 1


def test_values_that_only_move_share_their_quantization():
    graph = residual_network()
    _, statistics = calibrated(graph)
    plan = assign(graph, statistics, "mse")
    assert plan.values["both"] == plan.values["pool"] == plan.values["grouped"] == plan.values["swish"]
    assert plan.values["sum"] != plan.values["both"]
    assert plan.is_float("logits")
    assert plan.is_float("logits4")
    assert not plan.is_float("mean")


def mean(source, output, **attrs):
    window = {"kernel": (8, 8), "strides": (1, 1), "pads": (0, 0, 0, 0), "include_pad": False}
    return Node("avg_pool", output, [source], output, {**window, **attrs})


def flat(source, output):
    return Node("reshape", output, [source], output, {"shape": (1, 4)})


def softmax(source):
    return Node("softmax", "s", [source], "s", {"axis": -1})


def head(shapes, source, output):
    return conv(np.random.default_rng(0), shapes, output, source, 6, kernel=1, pads=(0, 0, 0, 0))


# name: (nodes, outputs, whether the pool stays float)
POOLED = {
    "output": (lambda shapes: [mean("x", "m")], ["m"], True),
    "softmax": (lambda shapes: [mean("x", "m"), flat("m", "f"), softmax("f")], ["s"], True),
    "clamped": (lambda shapes: [mean("x", "m", clip=RELU)], ["m"], False),
    "head": (lambda shapes: [mean("x", "m"), head(shapes, "m", "h")], ["h"], False),
    "output and head": (lambda shapes: [mean("x", "m"), head(shapes, "m", "h")], ["m", "h"], False),
    "softmax and head": (
        lambda shapes: [mean("x", "m"), flat("m", "f"), softmax("f"), head(shapes, "m", "h")],
        ["s", "h"],
        False,
    ),
    "joined with u7": (
        lambda shapes: [
            mean("x", "m"),
            mean("x", "n", clip=RELU),
            Node("concat", "c", ["m", "n"], "c", {"axis": 1}),
        ],
        ["c"],
        False,
    ),
    "joined with float": (
        lambda shapes: [mean("x", "m"), mean("x", "n"), Node("concat", "c", ["m", "n"], "c", {"axis": 1})],
        ["c"],
        True,
    ),
}


@pytest.mark.parametrize("name", list(POOLED))
def test_pool_stays_float_where_nothing_computes_on_it_in_u7(name):
    build, outputs, is_float = POOLED[name]
    shapes = {
        "x": (1, 4, 8, 8),
        "m": (1, 4, 1, 1),
        "n": (1, 4, 1, 1),
        "f": (1, 4),
        "s": (1, 4),
        "c": (1, 8, 1, 1),
    }
    nodes = build(shapes)
    present = {"x", *(n.output for n in nodes)}
    graph = Graph("g", ["x"], outputs, nodes, {v: s for v, s in shapes.items() if v in present})
    _, statistics = calibrated(graph)
    plan = assign(graph, statistics, "minmax")
    assert plan.is_float("m") is is_float
    model = lower(graph, plan)
    pool = next(op for op in model.ops if op.kind == "avg_pool")
    assert model.tensors[pool.output].dtype == ("f32" if is_float else "u7")
    # Nothing but the network's input is rounded to u7 on the way, and nothing comes back from it.
    conversions = [op.kind for op in model.ops if op.kind in ("quantize", "dequantize", "table")]
    assert not is_float or conversions == ["quantize"]


def test_walk_rounds_what_a_float_pool_reads():
    shapes = {"x": (1, 4, 8, 8), "m": (1, 4, 1, 1)}
    graph = Graph("g", ["x"], ["m"], [mean("x", "m")], shapes)
    _, statistics = calibrated(graph)
    plan = assign(graph, statistics, "minmax")
    inputs = stack(samples(graph), graph, 8)
    sqnr = walk(graph, plan, inputs, lambda *_: None, silent)
    exact = Executor(graph).run(inputs)["m"]
    rounded = Executor(graph).run({"x": plan.values["x"].simulate(inputs["x"])})["m"]
    assert math.isfinite(sqnr["m"])
    assert sqnr["m"] == sqnr_db(exact, rounded)


def test_reached_clip_is_the_range():
    rng = np.random.default_rng(0)
    shapes = {"x": (1, 4, 8, 8)}
    node = conv(rng, shapes, "y", "x", 8, clip=(0.0, 1.0))
    graph = Graph("g", ["x"], ["y"], [node], shapes)
    _, statistics = calibrated(graph)
    q = assign(graph, statistics, "minmax").values["y"]
    assert q.zero_point == 0
    assert q.range[1] == pytest.approx(1.0)


def test_values_that_are_not_finite_are_named():
    node = Node("unary", "root", ["x"], "y", {"function": "sqrt"})
    graph = Graph("g", ["x"], ["y"], [node], {"x": (1, 4), "y": (1, 4)})
    dataset = open_dataset([{"x": -np.ones((1, 4), np.float32)}], {"x": (1, 4)})
    with pytest.raises(CalibrationError, match="'y' is not finite"):
        collect_statistics(graph, dataset, 0, silent)


def unbalanced_graph():
    rng = np.random.default_rng(3)
    shapes = {"x": (1, 4, 8, 8)}
    nodes = [
        conv(rng, shapes, "a", "x", 16, clip=RELU),
        conv(rng, shapes, "b", "a", 16, groups=16, clip=RELU),
        conv(rng, shapes, "c", "b", 8),
    ]
    nodes[0].weights["weight"] *= np.exp(rng.normal(size=(16, 1, 1, 1)) * 2).astype(np.float32)
    return Graph("g", ["x"], ["c"], nodes, shapes)


def test_equalization_keeps_the_function_and_evens_the_ranges():
    graph = unbalanced_graph()
    sample = samples(graph)[0]
    before = Executor(graph).run(sample)["c"]
    dataset, statistics = calibrated(graph)
    assert equalize(graph, statistics)
    np.testing.assert_allclose(Executor(graph).run(sample)["c"], before, rtol=1e-3, atol=1e-4)
    after = collect_statistics(graph, dataset, 0, silent)
    spread = [s["a"].channel_high.max() / np.median(s["a"].channel_high) for s in (statistics, after)]
    assert spread[1] < spread[0] / 2


def test_equalization_leaves_relu6_alone():
    graph = unbalanced_graph()
    for node in graph.nodes[:2]:
        node.attrs["clip"] = (0.0, 6.0)
    _, statistics = calibrated(graph)
    assert not equalize(graph, statistics)


def test_bias_correction_removes_the_mean_error():
    graph = unbalanced_graph()
    dataset, statistics = calibrated(graph)
    inputs = stack(dataset, graph, 8)
    errors = {}
    for correct in (False, True):
        plan = assign(graph, statistics, "mse")
        plan.layers["c"].bias += 0.3
        errors[correct] = walk(graph, plan, inputs, lambda *_: None, silent, correct)["c"]
    assert errors[True] > errors[False] + 3


def test_sqnr():
    assert sqnr_db(np.ones(4), np.ones(4)) == math.inf
    assert sqnr_db(np.ones(4), np.full(4, 0.9)) == pytest.approx(20)


def test_weights_that_lie_on_a_grid_come_out_exact():
    rng = np.random.default_rng(5)
    tops = np.array([1, 2, 7, 41, 63, 64, 90, 101, 126, 127])
    grid = rng.integers(-tops, tops + 1, (300, len(tops))).T
    grid[:, 0] = tops
    weight = (grid * 0.0173).astype(np.float32)
    scales = weight_scales(weight, np.zeros(len(tops)), 0.1)
    error = np.abs(dequantize_weights(quantize_weights(weight, scales), scales) - weight).max(axis=1)
    assert np.all(error < 1e-5 * tops * 0.0173), dict(zip(tops, error, strict=True))


def test_no_scale_is_further_from_the_weights_than_the_finest():
    weight = np.random.default_rng(6).normal(size=(50, 40))
    finest = np.abs(weight).max(axis=1) / 127
    chosen = weight_scales(weight, np.zeros(50), 0.1)
    errors = [
        np.square(dequantize_weights(quantize_weights(weight, s), s) - weight).sum(axis=1)
        for s in (finest, chosen)
    ]
    assert np.all(errors[1] <= errors[0] * 1.001)
    assert errors[1].sum() < errors[0].sum() * 0.98


def test_the_walk_sees_the_rounding_of_the_inputs():
    """What it promises for the output is what the engine does: the same integers."""
    graph = unbalanced_graph()
    dataset, statistics = calibrated(graph)
    plan = assign(graph, statistics, "minmax")
    promised = walk(graph, plan, stack(dataset, graph, 8), lambda *_: None, silent)["c"]
    with lacewing.Session(lower(graph, plan).to_bytes()) as session:
        pairs = [(Executor(graph).run(s)["c"], session.run(s)["c"]) for s in dataset]
    assert promised == pytest.approx(sqnr_db(*map(np.concatenate, zip(*pairs, strict=True))), abs=0.02)


def test_a_layer_keeps_the_grid_that_it_is_given():
    """Levels up to 50 only: left to itself, the layer would take a scale with more of them."""
    graph = unbalanced_graph()
    _, statistics = calibrated(graph)
    plan = assign(graph, statistics, "minmax")
    layer, node = plan.layers["c"], graph.nodes[-1]
    levels = np.random.default_rng(8).integers(-50, 51, layer.weight.shape).astype(np.int8)
    layer.scales = np.linspace(0.001, 0.02, len(levels))
    layer.weight = dequantize_weights(levels, layer.scales)
    assert np.any(weight_scales(layer.weight, layer.bias, 1.0) != layer.scales)
    np.testing.assert_array_equal(simulated(node, layer, plan).weights["weight"], layer.weight)
    written = next(op for op in lower(graph, plan).ops if op.name == "c")
    step = plan.values["b"].scale
    np.testing.assert_array_equal(written.data["scale"], (step * layer.scales).astype(np.float32))
    assert np.abs(written.data["weights"]).max() == 50


def test_a_given_grid_still_leaves_room_for_the_bias():
    layer = LayerPlan(np.zeros((2, 4), np.float32), np.array([50.0, 50.0]), scales=np.array([1e-12, 0.5]))
    scales = layer.weight_scales(1e-3)
    assert abs(50.0 / (1e-3 * scales[0])) <= 2**24 + 1
    assert scales[1] == 0.5
