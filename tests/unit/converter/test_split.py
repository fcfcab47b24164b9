"""Dead channels that repeat live ones: the same function, finer levels, and only where a channel is dead for certain."""

import numpy as np
import pytest
from graphs import RELU6, conv, samples

import lacewing
from lacewing.converter.calibration import open_dataset
from lacewing.converter.compare import compare
from lacewing.converter.convert import convert
from lacewing.converter.errors import OptionError
from lacewing.converter.execute import Executor
from lacewing.converter.ir import Graph, Node
from lacewing.converter.ir_to_onnx import to_onnx
from lacewing.converter.options import ConvertOptions
from lacewing.converter.progress import silent
from lacewing.converter.quantization.assign import assign
from lacewing.converter.quantization.collect import collect_statistics
from lacewing.converter.quantization.layerwise import stack, walk
from lacewing.converter.quantization.split import split_channels
from lacewing.converter.source import load_graph
from lacewing.format.model import Model

STEM = "stem::unclipped"  # as the importer calls the value of a conv that takes in its clip
POINTWISE = {"kernel": 1, "pads": (0, 0, 0, 0)}


def network(dead=(1, 4), depthwise=True, seed=0, **reader):
    """Stem of 8 channels, a depthwise layer, a reader; channels ``dead`` are cut off by the clamp, 2 matters most."""
    rng = np.random.default_rng(seed)
    shapes = {"x": (1, 3, 16, 16)}
    nodes = [conv(rng, shapes, "stem", "x", 8, clip=RELU6)]
    if depthwise:
        nodes.append(conv(rng, shapes, "dw", "stem", 8, groups=8, clip=RELU6))
    nodes.append(conv(rng, shapes, "y", nodes[-1].name, 12, **(reader or POINTWISE)))
    nodes[0].weights["bias"][2] = 3
    nodes[0].weights["bias"][list(dead)] = -1000
    nodes[-1].weights["weight"][:, 2] *= 8
    return Graph("g", ["x"], ["y"], nodes, shapes)


def planned(graph):
    dataset = open_dataset(samples(graph), {"x": graph.shapes["x"]})
    return assign(graph, collect_statistics(graph, dataset, 0, silent), "minmax"), stack(dataset, graph, 8)


def split(graph):
    plan, inputs = planned(graph)
    split_channels(graph, plan, inputs)
    return plan, inputs


@pytest.mark.parametrize("depthwise", [False, True], ids=["dense", "depthwise"])
def test_copies_keep_the_function(depthwise):
    graph = network(depthwise=depthwise)
    sample = samples(graph)[0]
    before = Executor(graph).run(sample)["y"]
    plan, _ = split(graph)
    np.testing.assert_allclose(Executor(graph).run(sample)["y"], before, rtol=1e-4, atol=1e-4)
    after = Executor(graph, ["stem"]).run(sample)["stem"]
    assert {c for c, _ in plan.repeats["stem"]} == {1, 4}
    for channel, origin in plan.repeats["stem"]:
        np.testing.assert_array_equal(after[:, channel], after[:, origin])


def test_the_channel_that_hurts_most_is_repeated_first():
    plan, _ = split(network(dead=(1,)))
    assert plan.repeats["stem"] == plan.repeats["dw"] == [(1, 2)]
    np.testing.assert_array_equal(plan.dither["stem"], [0, 0.25, -0.25, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(("dead", "gain"), [((1,), 1.0), ((1, 4, 6), 2.0)])
def test_copies_lower_the_noise(dead, gain):
    found = []
    for change in (planned, split):
        graph = network(dead)
        plan, inputs = change(graph)
        found.append(walk(graph, plan, inputs, lambda *_: None, silent)["y"])
    assert found[1] > found[0] + gain, found


def test_a_channel_that_is_only_quiet_on_the_calibration_data_stays():
    graph = network(dead=())
    inputs = np.concatenate([s["x"] for s in samples(graph)])
    sums = Executor(graph, ["stem"]).run({"x": inputs})["stem"]
    graph.nodes[0].weights["bias"][1] -= sums[:, 1].max() + 1
    weight = graph.nodes[0].weights["weight"].copy()
    plan, _ = split(graph)
    assert not plan.repeats
    np.testing.assert_array_equal(graph.nodes[0].weights["weight"], weight)


def constant_network(**reader):
    """Channel 1 of the stem is 2 everywhere."""
    graph = network(dead=(), depthwise=False, **reader)
    graph.nodes[0].weights["weight"][1], graph.nodes[0].weights["bias"][1] = 0, 2
    return graph


def test_a_constant_moves_into_the_readers_bias():
    graph = constant_network(**POINTWISE)
    sample = samples(graph)[0]
    before = Executor(graph).run(sample)["y"]
    plan, _ = split(graph)
    assert plan.repeats["stem"] == [(1, 2)]
    np.testing.assert_allclose(Executor(graph).run(sample)["y"], before, rtol=1e-4, atol=1e-4)


def test_a_constant_next_to_padding_stays():
    assert not split(constant_network(kernel=3))[0].repeats


def test_a_channel_that_an_add_reads_stays():
    graph = network(depthwise=False)
    graph.shapes["sum"] = graph.shapes["stem"]
    graph.nodes.insert(1, Node("add", "sum", ["stem", "stem"], "sum"))
    assert not split(graph)[0].repeats


def test_a_layer_with_nothing_alive_stays():
    assert not split(network(dead=range(8)))[0].repeats


@pytest.fixture
def converted(tmp_path):
    """(.lace file, float graph, data) of a network with dead channels."""
    graph = network()
    (tmp_path / "m.onnx").write_bytes(to_onnx(graph).SerializeToString())
    convert(tmp_path / "m.onnx", tmp_path / "m.lace", ConvertOptions(samples(graph)))
    return (
        tmp_path / "m.lace",
        load_graph(tmp_path / "m.onnx", {}),
        open_dataset(samples(graph), {"x": (1, 3, 16, 16)}),
    )


def test_compare_knows_the_copies(converted):
    file, graph, dataset = converted
    with lacewing.Session(file) as session:
        assert set(session.metadata["repeated_channels"]) == {STEM, "dw::unclipped"}
    assert min(compare(file, graph, dataset).layers.values()) > 20


@pytest.mark.parametrize("repeats", [3, {"none": []}, {STEM: [[0, 8]]}, {STEM: [0]}, {STEM: [["a", 1]]}])
def test_copies_that_do_not_fit_are_refused(converted, repeats):
    file, graph, dataset = converted
    model = Model.from_bytes(file.read_bytes())
    model.metadata["repeated_channels"] = repeats
    file.write_bytes(model.to_bytes())
    with pytest.raises(OptionError, match="repeated_channels"):
        compare(file, graph, dataset)
