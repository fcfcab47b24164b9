"""Narrower ranges: less error where a value is read, and no calibration sample that pays for the others."""

import copy

import numpy as np
from graphs import RELU, conv, residual_network

from lacewing.converter.calibration import open_dataset
from lacewing.converter.ir import Graph, Node
from lacewing.converter.progress import silent
from lacewing.converter.quantization.assign import assign
from lacewing.converter.quantization.collect import collect_statistics
from lacewing.converter.quantization.layerwise import stack
from lacewing.converter.quantization.narrow import narrow

SIZE = 48
POINTWISE = {"kernel": 1, "pads": (0, 0, 0, 0)}


def chain(reader_clip=None, pooled=False):
    """x -> a (linear, the same channels) -> perhaps a max pool -> y."""
    rng = np.random.default_rng(0)
    shapes = {"x": (1, 8, SIZE, SIZE)}
    clip = {} if reader_clip is None else {"clip": reader_clip}
    nodes = [conv(rng, shapes, "a", "x", 8, **POINTWISE)]
    nodes[0].weights["weight"] = np.eye(8, dtype=np.float32)[:, :, None, None]
    nodes[0].weights["bias"][:] = 0
    if pooled:
        shapes["p"] = (1, 8, SIZE // 2, SIZE // 2)
        attrs = {"kernel": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0)}
        nodes.append(Node("max_pool", "p", ["a"], "p", attrs))
    nodes.append(conv(rng, shapes, "y", nodes[-1].output, 6, **POINTWISE, **clip))
    return Graph("g", ["x"], ["y"], nodes, shapes)


def inputs(outlier, everywhere=False, count=8, seed=0):
    """Normal values; one element of one sample, or of every one, is as large as ``outlier``."""
    x = np.random.default_rng(seed).normal(size=(count, 8, SIZE, SIZE)).astype(np.float32)
    x[slice(None) if everywhere else 0, 3, 5, 5] = outlier
    return x


def narrowed(graph, x):
    """(plan before, plan after)."""
    data = open_dataset([{"x": sample[None]} for sample in x], {"x": graph.shapes["x"]})
    plan = assign(graph, collect_statistics(graph, data, 0, silent), "fitted")
    before = copy.deepcopy(plan)
    narrow(graph, plan, stack(data, graph, len(x)), silent)
    return before, plan


def width(plan, value):
    low, high = plan.values[value].range
    return high - low


def test_outliers_that_cost_less_than_the_step_they_cause_are_cut():
    before, after = narrowed(chain(), inputs(5.2, everywhere=True))
    assert before.values["a"].range[1] > 5.1
    assert 4.8 > after.values["a"].range[1] > 3
    assert after.values["x"] == before.values["x"]


def test_what_a_pool_never_passes_on_is_cut():
    """Judged behind the max pool, which shares the quantization: the low end is never the largest of four."""
    before, after = narrowed(chain(pooled=True), inputs(4.0))
    assert before.values["a"].range[0] < -3.5
    assert after.values["a"].range[0] > -2.5
    assert after.values["p"] == after.values["a"]


def test_one_sample_that_loses_keeps_the_range():
    """Cutting its outliers would leave less error in all other samples."""
    graph, x = chain(), inputs(40.0)
    x[0, 3, 5, :40] = 40.0
    before, after = narrowed(graph, x)
    assert after.values["a"].range[1] > 39
    errors = {}
    for factor in (1.0, 0.8):
        low, high = before.values["a"].range
        q = type(before.values["a"]).from_range(low * factor, high * factor)
        errors[factor] = np.square(q.simulate(x) - x).reshape(len(x), -1).sum(axis=1)
    assert np.all(errors[0.8][1:] < errors[1.0][1:])
    assert errors[0.8][0] > errors[1.0][0]


def test_what_a_reader_clamps_away_anyway_may_be_cut():
    """The same outlier, but negative and into a ReLU that gives zero for it and for its neighbours alike."""
    graph = chain(RELU)
    graph.nodes[-1].weights["weight"] = np.abs(graph.nodes[-1].weights["weight"])
    graph.nodes[-1].weights["bias"][:] = 0
    before, after = narrowed(graph, inputs(-40.0, count=8))
    assert width(after, "a") < 0.9 * width(before, "a")


def test_all_values_of_one_quantization_stay_together():
    graph = residual_network()
    rng = np.random.default_rng(4)
    data = open_dataset(
        [{"x": rng.normal(size=(1, 3, 16, 16)).astype(np.float32)} for _ in range(8)], {"x": (1, 3, 16, 16)}
    )
    plan = assign(graph, collect_statistics(graph, data, 0, silent), "fitted")
    before = copy.deepcopy(plan)
    narrow(graph, plan, stack(data, graph, 8), silent)
    assert plan.values["both"] == plan.values["pool"] == plan.values["grouped"] == plan.values["swish"]
    assert all(width(plan, v) <= width(before, v) * 1.0001 for v in plan.values)
    assert any(width(plan, v) < width(before, v) * 0.95 for v in plan.values)
    for value in (*graph.inputs, *graph.outputs):
        assert plan.values[value] == before.values[value]


def test_a_value_without_elements_that_differ_is_left():
    graph = chain()
    before, after = narrowed(graph, np.zeros((4, 8, SIZE, SIZE), np.float32))
    assert after.values == before.values
