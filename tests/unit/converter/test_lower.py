"""Lowering: the engine's result is the float network's, within the steps of the quantization."""

import numpy as np
import pytest
from graphs import RELU, RELU6, conv, residual_network, samples, single

import lacewing
from lacewing.converter.calibration import open_dataset
from lacewing.converter.errors import UnsupportedModelError
from lacewing.converter.execute import Executor
from lacewing.converter.ir import Graph, Node
from lacewing.converter.lowering.lower import check_supported, lower
from lacewing.converter.lowering.resize import axis_tables
from lacewing.converter.lowering.tables import UNARY, function_table
from lacewing.converter.options import ConvertOptions
from lacewing.converter.progress import silent
from lacewing.converter.quantization.assign import assign
from lacewing.converter.quantization.collect import collect_statistics
from lacewing.converter.quantization.layerwise import sqnr_db
from lacewing.converter.quantization.parameters import Quantization
from lacewing.format.description import ENCODINGS


def lowered(graph, count=6):
    data = samples(graph, count)
    dataset = open_dataset(data, {v: graph.shapes[v] for v in graph.inputs})
    plan = assign(graph, collect_statistics(graph, dataset, 0, silent), "minmax")
    return lower(graph, plan), data


def worst_sqnr(graph):
    """Lowest SQNR over the outputs, engine against float; the engine verifies the file first."""
    model, data = lowered(graph)
    executor = Executor(graph)
    results = []
    with lacewing.Session(model.to_bytes()) as session:
        for sample in data:
            wanted, got = executor.run(sample), session.run(sample)
            results += [sqnr_db(wanted[v], got[v]) for v in graph.outputs]
    return min(results)


def rng():
    return np.random.default_rng(5)


def one_conv(channels, outputs, **options):
    shapes = {"x": (1, channels, 9, 7)}
    node = conv(rng(), shapes, "y", "x", outputs, **options)
    return Graph("g", ["x"], ["y"], [node], shapes)


X4 = {"x": (1, 5, 6, 6)}
POOL = {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}
CASES = {
    "conv float output": one_conv(5, 7),
    "conv relu": one_conv(5, 7, clip=RELU),
    "conv stride": one_conv(4, 8, strides=(2, 2), pads=(0, 0, 1, 1)),
    "conv 1x1": one_conv(6, 9, kernel=1, pads=(0, 0, 0, 0)),
    "grouped": one_conv(8, 12, groups=4),
    "depth multiplier": one_conv(6, 12, groups=6),
    "depthwise": one_conv(6, 6, groups=6, clip=RELU6),
    "add": single(Node("add", "n", ["a", "b"], "y"), {"a": (1, 5, 6, 6), "b": (1, 5, 6, 6)}, (1, 5, 6, 6)),
    "mul": single(Node("mul", "n", ["a", "b"], "y"), {"a": (1, 5, 6, 6), "b": (1, 5, 6, 6)}, (1, 5, 6, 6)),
    "mul by channel": single(
        Node("mul", "n", ["b", "a"], "y"), {"a": (1, 5, 6, 6), "b": (1, 5, 1, 1)}, (1, 5, 6, 6)
    ),
    "clip": single(Node("clip", "n", ["x"], "y", {"min": -0.5, "max": 1.0}), X4, (1, 5, 6, 6)),
    "prelu": single(
        Node("prelu", "n", ["x"], "y", {}, {"slope": np.linspace(-1, 1, 5, dtype=np.float32)}),
        X4,
        (1, 5, 6, 6),
    ),
    "affine": single(
        Node(
            "affine",
            "n",
            ["x"],
            "y",
            {},
            {"scale": np.ones(5, np.float32) * 2, "offset": np.arange(5, dtype=np.float32)},
        ),
        X4,
        (1, 5, 6, 6),
    ),
    "avg_pool": single(Node("avg_pool", "n", ["x"], "y", {**POOL, "include_pad": False}), X4, (1, 5, 3, 3)),
    "avg_pool pad counted": single(
        Node("avg_pool", "n", ["x"], "y", {**POOL, "include_pad": True}), X4, (1, 5, 3, 3)
    ),
    "avg_pool to u7": Graph(
        "g",
        ["x"],
        ["y"],
        [
            Node("avg_pool", "n", ["x"], "mean", {**POOL, "include_pad": False}),
            Node("unary", "r", ["mean"], "y", {"function": "sigmoid"}),
        ],
        X4 | {"mean": (1, 5, 3, 3), "y": (1, 5, 3, 3)},
    ),
    "max_pool": single(Node("max_pool", "n", ["x"], "y", dict(POOL)), X4, (1, 5, 3, 3)),
    "pad": single(Node("pad", "n", ["x"], "y", {"pads": (1, 2, 0, 1), "value": 0.0}), X4, (1, 5, 7, 9)),
    "concat channels": single(
        Node("concat", "n", ["a", "b"], "y", {"axis": 1}),
        {"a": (1, 3, 4, 4), "b": (1, 6, 4, 4)},
        (1, 9, 4, 4),
    ),
    "concat many": single(
        Node("concat", "n", [f"i{i}" for i in range(10)], "y", {"axis": 1}),
        {f"i{i}": (1, 2, 4, 4) for i in range(10)},
        (1, 20, 4, 4),
    ),
    "softmax": single(Node("softmax", "n", ["x"], "y", {"axis": -1}), {"x": (1, 12)}, (1, 12)),
    "softmax channels": single(Node("softmax", "n", ["x"], "y", {"axis": 1}), X4, (1, 5, 6, 6)),
    "transpose": single(Node("transpose", "n", ["x"], "y", {"perm": (0, 2, 3, 1)}), X4, (1, 6, 6, 5)),
    "reshape": single(Node("reshape", "n", ["x"], "y", {"shape": (1, 180)}), X4, (1, 180)),
    "gemm": single(
        Node(
            "gemm",
            "n",
            ["x"],
            "y",
            {},
            {
                "weight": rng().normal(size=(7, 10)).astype(np.float32),
                "bias": rng().normal(size=7).astype(np.float32),
            },
        ),
        {"x": (1, 10)},
        (1, 7),
    ),
    "network": residual_network(),
}


@pytest.mark.parametrize("name", list(CASES))
def test_engine_agrees_with_float(name):
    assert worst_sqnr(CASES[name]) > (22 if name == "network" else 26)


@pytest.mark.parametrize("function", ["sigmoid", "tanh", "hard_swish", "silu", "gelu", "leaky_relu", "elu"])
def test_functions_become_tables(function):
    attrs = {"function": function, "alpha": 0.1 if function == "leaky_relu" else 1.0, "beta": 0.0}
    assert worst_sqnr(single(Node("unary", "n", ["x"], "y", attrs), X4, (1, 5, 6, 6))) > 27


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners"])
def test_resize_agrees_with_float(mode, coordinates):
    attrs = {"mode": mode, "size": (11, 13), "coordinates": coordinates, "rounding": "round_prefer_floor"}
    assert worst_sqnr(single(Node("resize", "n", ["x"], "y", attrs), X4, (1, 5, 11, 13))) > 27


def test_resize_tables_stay_inside():
    node = Node("resize", "n", ["x"], "y", {"mode": "bilinear", "coordinates": "half_pixel"})
    tables = axis_tables(7, 3, node)
    assert tables["low"].max() <= 2
    assert tables["high"].max() <= 2
    assert tables["weight"].max() <= 256


def test_tables_are_rounded_once_from_float64():
    q, r = Quantization.from_range(-4, 4), Quantization.from_range(0, 1)
    table = function_table(q, r, lambda x: UNARY["sigmoid"](x, 0, 0))
    reals = (np.arange(128) - q.zero_point) * q.scale
    np.testing.assert_array_equal(table, np.rint(1 / (1 + np.exp(-reals)) / r.scale))


def test_grouped_convolution_stores_only_its_groups():
    model, _ = lowered(one_conv(32, 32, groups=4))
    op = next(o for o in model.ops if o.kind == "conv")
    assert op.attributes["encoding"] == ENCODINGS["bitmask"]
    assert op.data["weights"].size == 32 * 8 * 9


def test_depthwise_is_one_operator():
    model, _ = lowered(one_conv(6, 6, groups=6))
    assert [o.kind for o in model.ops] == ["quantize", "depthwise", "dequantize"]


def test_classifier_needs_no_dequantize():
    model, _ = lowered(residual_network())
    assert "dequantize" not in {o.kind for o in model.ops}
    assert [model.tensors[i].name for i in model.outputs] == ["logits"]


def test_input_read_elsewhere_is_rescaled_for_a_concat():
    shapes = {"x": (1, 4, 8, 8)}
    r = rng()
    nodes = [conv(r, shapes, "a", "x", 4, clip=RELU), conv(r, shapes, "b", "a", 4, clip=RELU)]
    nodes[1].weights["weight"] *= 20
    nodes.append(Node("concat", "c", ["a", "b"], "y", {"axis": 1}))
    shapes["y"] = (1, 8, 8, 8)
    graph = Graph("g", ["x"], ["y"], nodes, shapes)
    model, _ = lowered(graph)
    assert "table" in {o.kind for o in model.ops}
    assert worst_sqnr(graph) > 27


def test_everything_unsupported_is_listed():
    nodes = [
        Node("lstm", "first", ["x"], "a"),
        Node("unary", "second", ["a"], "b", {"function": "lgamma"}),
        Node("add", "third", ["b", "x"], "y"),
    ]
    shapes = {"x": (1, 4, 2, 2), "a": (1, 4, 1, 1), "b": (1, 4, 1, 1), "y": (1, 4, 2, 2)}
    with pytest.raises(UnsupportedModelError) as error:
        check_supported(Graph("g", ["x"], ["y"], nodes, shapes))
    assert [p.node for p in error.value.problems] == ["first", "second", "third"]


def test_options_are_frozen():
    with pytest.raises(AttributeError):
        ConvertOptions([]).seed = 1
