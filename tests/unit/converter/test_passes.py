"""What each pass makes of its pattern, and that the result still equals the source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import ModelBuilder, assert_import_matches, ops

from lacewing.converter.errors import UnsupportedModelError
from lacewing.converter.ir import Graph, Node
from lacewing.converter.passes import PASSES, run_passes
from lacewing.converter.passes.check import check_canonical
from lacewing.converter.passes.rewrite import bypass

INT = np.int64


def conv(
    b: ModelBuilder, x: str = "x", channels: int = 4, out: int = 4, kernel: int = 1, **attrs: Any
) -> str:
    return str(
        b.add(
            "Conv",
            x,
            b.weight(out, channels // attrs.get("group", 1), kernel, kernel),
            b.weight(out),
            **attrs,
        )
    )


def norm(b: ModelBuilder, x: str, channels: int = 4) -> str:
    return str(
        b.add("BatchNormalization", x, *[b.weight(channels) for _ in range(3)], b.constant([0.5] * channels))
    )


def hard_swish_after(b: ModelBuilder) -> str:
    gate = b.add("Clip", b.add("Add", "x", b.constant(3.0)), b.constant(0.0), b.constant(6.0))
    return str(b.add("Div", b.add("Mul", "x", gate), b.constant(6.0)))


def hard_swish_inside(b: ModelBuilder) -> str:
    gate = b.add("Clip", b.add("Add", "x", b.constant(3.0)), b.constant(0.0), b.constant(6.0))
    return str(b.add("Mul", "x", b.add("Div", gate, b.constant(6.0))))


def hard_swish_before(b: ModelBuilder) -> str:
    gate = b.add("Clip", b.add("Add", b.constant(3.0), "x"), b.constant(0.0), b.constant(6.0))
    return str(b.add("Mul", b.add("Mul", "x", b.constant(1 / 6)), gate))


def gelu(b: ModelBuilder, scale_first: bool, scale_gate: bool = False) -> str:
    erf = b.add("Erf", b.add("Div", "x", b.constant(np.sqrt(2))))
    one = b.add("Add", erf, b.constant(1.0))
    if scale_gate:
        return str(b.add("Mul", "x", b.add("Mul", one, b.constant(0.5))))
    if scale_first:
        return str(b.add("Mul", b.add("Mul", "x", b.constant(0.5)), one))
    return str(b.add("Mul", b.add("Mul", "x", one), b.constant(0.5)))


def nhwc_block(b: ModelBuilder) -> str:
    """Transposes around a pointwise operator, as converters from NHWC frameworks leave them."""
    inside = b.add("Relu", b.add("Transpose", conv(b), perm=[0, 2, 3, 1]))
    return conv(b, b.add("Transpose", b.add("Sigmoid", inside), perm=[0, 3, 1, 2]))


def nhwc_flatten(b: ModelBuilder) -> str:
    flat = b.add("Flatten", b.add("Transpose", conv(b), perm=[0, 2, 3, 1]))
    return str(b.add("Gemm", flat, b.weight(120, 7), b.weight(7)))


def flatten_norm(b: ModelBuilder) -> str:
    pooled = b.add("Flatten", b.add("GlobalAveragePool", "x"))
    return norm(b, b.add("Gemm", pooled, b.weight(4, 4), b.weight(4)))


def two_layers(b: ModelBuilder) -> str:
    hidden = b.add("Relu", b.add("Gemm", b.add("Flatten", "x"), b.weight(120, 8), b.weight(8)))
    return str(b.add("Gemm", hidden, b.weight(8, 3), b.weight(3)))


def pad(b: ModelBuilder, x: str) -> str:
    return str(b.add("Pad", x, b.constant([0, 0, 1, 1, 0, 0, 1, 0], INT)))


def clip_chain(b: ModelBuilder) -> str:
    first = b.add("Clip", conv(b), b.constant(-1.0), b.constant(0.5))
    return str(b.add("Clip", b.add("Flatten", first), b.constant(0.0), b.constant(2.0)))


PATTERNS: dict[str, tuple[Callable[[ModelBuilder], str], list[str]]] = {
    "batch norm after conv": (lambda b: norm(b, conv(b, kernel=3, pads=[1] * 4)), ["conv"]),
    "batch norm after depthwise": (lambda b: norm(b, conv(b, kernel=3, group=4)), ["conv"]),
    "batch norm before unpadded conv": (lambda b: conv(b, norm(b, "x"), kernel=3), ["conv"]),
    "batch norm before grouped conv": (lambda b: conv(b, norm(b, "x"), kernel=3, group=2), ["conv"]),
    "batch norm before padded conv": (
        lambda b: conv(b, norm(b, "x"), kernel=3, pads=[1] * 4),
        ["conv", "conv"],
    ),
    "scale before padded conv": (
        lambda b: conv(b, b.add("Div", "x", b.constant(255.0)), kernel=3, pads=[1] * 4),
        ["conv"],
    ),
    "normalization before conv": (
        lambda b: conv(b, b.add("Div", b.add("Sub", "x", b.weight(4, 1, 1)), b.constant([[[2.0]]] * 4))),
        ["conv"],
    ),
    "batch norm after gemm": (flatten_norm, ["avg_pool", "conv", "reshape"]),
    "batch norm alone": (lambda b: norm(b, "x"), ["conv"]),
    "affine chain": (lambda b: b.add("Add", b.add("Mul", "x", b.constant(2.0)), b.constant(1.0)), ["conv"]),
    "relu6": (lambda b: b.add("Clip", conv(b), b.constant(0.0), b.constant(6.0)), ["conv"]),
    "clips in a row over flatten": (clip_chain, ["conv", "reshape"]),
    "relu after add": (lambda b: b.add("Relu", b.add("Add", "x", "x")), ["add"]),
    "relu after average": (lambda b: b.add("Relu", b.add("GlobalAveragePool", "x")), ["avg_pool"]),
    "relu after maximum stays": (lambda b: b.add("Relu", b.add("GlobalMaxPool", "x")), ["max_pool", "clip"]),
    "silu": (lambda b: b.add("Mul", b.add("Sigmoid", "x"), "x"), ["silu"]),
    "hard-swish / 6 after": (hard_swish_after, ["hard_swish"]),
    "hard-swish / 6 inside": (hard_swish_inside, ["hard_swish"]),
    "hard-swish / 6 before": (hard_swish_before, ["hard_swish"]),
    "hard-swish of hard-sigmoid": (
        lambda b: b.add("Mul", "x", b.add("HardSigmoid", "x", alpha=1 / 6)),
        ["hard_swish"],
    ),
    "other hard-sigmoid gate stays": (
        lambda b: b.add("Mul", "x", b.add("HardSigmoid", "x")),
        ["hard_sigmoid", "mul"],
    ),
    "mish": (lambda b: b.add("Mul", "x", b.add("Tanh", b.add("Softplus", "x"))), ["mish"]),
    "gelu, half last": (lambda b: gelu(b, scale_first=False), ["gelu"]),
    "gelu, half first": (lambda b: gelu(b, scale_first=True), ["gelu"]),
    "gelu, half of the gate": (lambda b: gelu(b, scale_first=False, scale_gate=True), ["gelu"]),
    "hard-swish before batch norm": (lambda b: norm(b, hard_swish_after(b)), ["hard_swish", "conv"]),
    "pad before conv": (lambda b: conv(b, pad(b, "x"), kernel=3), ["conv"]),
    "pads before conv": (lambda b: conv(b, pad(b, pad(b, "x")), kernel=3), ["conv"]),
    "pad before average": (lambda b: b.add("AveragePool", pad(b, "x"), kernel_shape=[3, 3]), ["avg_pool"]),
    "pad before uncounted padding stays": (
        lambda b: b.add("AveragePool", pad(b, "x"), kernel_shape=[3, 3], pads=[1] * 4),
        ["pad", "avg_pool"],
    ),
    "pad before maximum of relu": (
        lambda b: b.add("MaxPool", pad(b, b.add("Relu", "x")), kernel_shape=[3, 3]),
        ["clip", "max_pool"],
    ),
    "pad before maximum of anything stays": (
        lambda b: b.add("MaxPool", pad(b, "x"), kernel_shape=[3, 3]),
        ["pad", "max_pool"],
    ),
    "subsampling before pointwise conv": (
        lambda b: conv(b, b.add("MaxPool", "x", kernel_shape=[1, 1], strides=[2, 1]), strides=[1, 2]),
        ["conv"],
    ),
    "subsampling in steps": (
        lambda b: b.add(
            "AveragePool",
            b.add("MaxPool", "x", kernel_shape=[1, 1], strides=[2, 1]),
            kernel_shape=[1, 1],
            strides=[1, 2],
        ),
        ["avg_pool"],
    ),
    "subsampling before a wider kernel stays": (
        lambda b: conv(b, b.add("MaxPool", "x", kernel_shape=[1, 1], strides=[2, 2]), kernel=3),
        ["max_pool", "conv"],
    ),
    "subsampling before a padded conv stays": (
        lambda b: conv(b, b.add("MaxPool", "x", kernel_shape=[1, 1], strides=[2, 2]), pads=[1] * 4),
        ["max_pool", "conv"],
    ),
    "pooling of one pixel": (lambda b: conv(b, b.add("AveragePool", "x", kernel_shape=[1, 1])), ["conv"]),
    "gate expanded to the image": (
        lambda b: b.add(
            "Mul", b.add("Expand", b.add("GlobalAveragePool", "x"), b.constant([1, 4, 6, 5], INT)), "x"
        ),
        ["avg_pool", "mul"],
    ),
    "average of full size": (
        lambda b: b.add("Flatten", b.add("AveragePool", "x", kernel_shape=[6, 5])),
        ["avg_pool", "reshape"],
    ),
    "classifier on pooled features": (
        lambda b: b.add(
            "Gemm", b.add("Flatten", b.add("GlobalAveragePool", "x")), b.weight(4, 9), b.weight(9)
        ),
        ["avg_pool", "conv", "reshape"],
    ),
    "gemm on a feature map": (
        lambda b: b.add("Gemm", b.add("Flatten", conv(b)), b.weight(120, 9), b.weight(9)),
        ["conv", "conv", "reshape"],
    ),
    "gemm on an NHWC feature map": (nhwc_flatten, ["conv", "conv", "reshape"]),
    "two layers on a feature map": (two_layers, ["conv", "reshape", "gemm"]),
    "transposes around pointwise": (nhwc_block, ["conv", "sigmoid", "conv"]),
    "transposes that do not cancel": (
        lambda b: b.add("Transpose", b.add("Transpose", conv(b), perm=[0, 2, 3, 1]), perm=[0, 2, 3, 1]),
        ["conv", "transpose"],
    ),
    "transpose of one pixel": (
        lambda b: b.add("Transpose", b.add("GlobalAveragePool", "x"), perm=[0, 2, 3, 1]),
        ["avg_pool", "reshape"],
    ),
    "reshapes in a row": (
        lambda b: b.add(
            "Unsqueeze",
            b.add("Flatten", b.add("Reshape", "x", b.constant([4, 30], INT))),
            b.constant([0], INT),
        ),
        ["reshape"],
    ),
    "identity": (lambda b: b.add("Identity", b.add("Dropout", conv(b))), ["conv"]),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_pattern(name: str, tmp_path: Path) -> None:
    build, expected = PATTERNS[name]
    b = ModelBuilder()
    build(b)
    assert ops(assert_import_matches(b.save(tmp_path))) == expected


def test_batch_norm_folds_through_a_flatten_that_keeps_channels(tmp_path: Path) -> None:
    b = ModelBuilder()
    norm(b, b.add("Flatten", conv(b, b.add("GlobalAveragePool", "x"))))
    assert ops(assert_import_matches(b.save(tmp_path))) == ["avg_pool", "conv", "reshape"]


def test_batch_norm_after_a_flatten_of_pixels_does_not_fold(tmp_path: Path) -> None:
    b = ModelBuilder()
    norm(b, b.add("Flatten", conv(b)), channels=120)
    assert ops(assert_import_matches(b.save(tmp_path))).count("conv") == 2


def test_a_value_with_two_readers_is_left_alone(tmp_path: Path) -> None:
    b = ModelBuilder()
    shared = conv(b)
    b.add("Add", norm(b, shared), b.add("Relu", shared))
    graph = assert_import_matches(b.save(tmp_path))
    assert sorted(ops(graph)) == ["add", "clip", "conv", "conv"]


def test_a_graph_output_is_left_alone(tmp_path: Path) -> None:
    b = ModelBuilder()
    raw = conv(b)
    graph = assert_import_matches(b.save(tmp_path, raw, b.add("Relu", raw)))
    assert ops(graph) == ["conv", "clip"] and "clip" not in graph.nodes[0].attrs


def test_only_clamps_are_fused_into_clip(tmp_path: Path) -> None:
    b = ModelBuilder()
    b.add("Clip", conv(b), b.constant(0.0), b.constant(6.0))
    assert assert_import_matches(b.save(tmp_path)).nodes[0].attrs["clip"] == (0.0, 6.0)


def test_gelu_with_a_wrong_constant_stays_written_out(tmp_path: Path) -> None:
    b = ModelBuilder()
    erf = b.add("Erf", b.add("Mul", "x", b.constant(0.6)))
    b.add("Mul", b.add("Mul", "x", b.add("Add", erf, b.constant(1.0))), b.constant(0.5))
    assert "gelu" not in ops(assert_import_matches(b.save(tmp_path)))


def test_passes_change_nothing_the_second_time(tmp_path: Path) -> None:
    b = ModelBuilder()
    b.add("Relu", norm(b, conv(b, pad(b, "x"), kernel=3)))
    graph = assert_import_matches(b.save(tmp_path))
    before = [(node.op, node.inputs, node.output, node.attrs) for node in graph.nodes]
    run_passes(graph)
    assert [(node.op, node.inputs, node.output, node.attrs) for node in graph.nodes] == before


def test_affine_without_a_batch_axis_is_reported() -> None:
    weights = {"scale": np.full(3, 2, np.float32), "offset": np.zeros(3, np.float32)}
    node = Node("affine", "scaled", ["x"], "y", {}, weights)
    graph = Graph("g", ["x"], ["y"], [node], {"x": (2, 3), "y": (2, 3)})
    with pytest.raises(UnsupportedModelError, match=r"\[2, 3\]"):
        run_passes(graph)


def test_check_catches_a_broken_pass() -> None:
    shapes = {"x": (1, 3), "y": (1, 3)}
    for node in (
        Node("batch_norm", "n", ["x"], "y"),
        Node("clip", "n", ["z"], "y", {"min": 0.0, "max": 1.0}),
    ):
        with pytest.raises(RuntimeError, match="impossible node"):
            check_canonical(Graph("g", ["x"], ["y"], [node], dict(shapes)))
    with pytest.raises(RuntimeError, match="graph output"):
        check_canonical(Graph("g", ["x"], ["y"], [], dict(shapes)))


def test_check_catches_infinite_weights() -> None:
    weights = {"weight": np.full((1, 3), np.inf, np.float32), "bias": np.zeros(1, np.float32)}
    graph = Graph("g", ["x"], ["y"], [Node("gemm", "n", ["x"], "y", {}, weights)], {"x": (1, 3), "y": (1, 1)})
    with pytest.raises(UnsupportedModelError, match="infinite"):
        check_canonical(graph)


def test_bypass_keeps_a_node_between_input_and_output() -> None:
    node = Node("reshape", "n", ["x"], "y", {"shape": (1, 3)})
    graph = Graph("g", ["x"], ["y"], [node], {"x": (1, 3), "y": (1, 3)})
    assert not bypass(graph, node) and graph.nodes == [node]


def test_the_check_is_the_last_pass() -> None:
    assert PASSES[-1] is check_canonical
