"""Every lowering against onnxruntime on the source, before and after the passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import ModelBuilder, assert_import_matches, ops

from lacewing.converter.onnx_import.context import LOWERINGS

Build = Callable[[ModelBuilder], Any]
INT = np.int64


def conv(
    b: ModelBuilder, x: str = "x", channels: int = 4, out: int = 6, kernel: int = 3, **attrs: Any
) -> str:
    group = attrs.get("group", 1)
    return str(b.add("Conv", x, b.weight(out, channels // group, kernel, kernel), b.weight(out), **attrs))


CASES: dict[str, tuple[Build, int]] = {
    "Conv padded": (lambda b: conv(b, pads=[1, 0, 2, 1]), 17),
    "Conv strided, dilated": (lambda b: conv(b, strides=[2, 1], dilations=[1, 2]), 11),
    "Conv SAME_UPPER": (lambda b: conv(b, strides=[2, 2], auto_pad="SAME_UPPER"), 17),
    "Conv SAME_LOWER": (lambda b: conv(b, strides=[2, 2], auto_pad="SAME_LOWER"), 17),
    "Conv VALID": (lambda b: conv(b, auto_pad="VALID"), 17),
    "Conv grouped": (lambda b: conv(b, out=8, group=2), 17),
    "Conv depthwise": (lambda b: conv(b, out=4, group=4), 17),
    "Conv depthwise multiplier": (lambda b: conv(b, out=8, group=4), 17),
    "Conv without bias": (lambda b: b.add("Conv", "x", b.weight(5, 4, 1, 1)), 17),
    "BatchNormalization": (
        lambda b: b.add(
            "BatchNormalization",
            conv(b),
            b.weight(6),
            b.weight(6),
            b.weight(6),
            b.constant(np.arange(1, 7)),
            epsilon=0.1,
        ),
        17,
    ),
    "BatchNormalization alone": (
        lambda b: b.add(
            "BatchNormalization", "x", b.weight(4), b.weight(4), b.weight(4), b.constant([1, 2, 3, 4])
        ),
        9,
    ),
    "Gemm transposed": (
        lambda b: b.add(
            "Gemm", b.add("Flatten", "x"), b.weight(7, 120), b.weight(7), transB=1, alpha=0.5, beta=2.0
        ),
        17,
    ),
    "Gemm scalar bias": (
        lambda b: b.add("Gemm", b.add("Flatten", "x"), b.weight(120, 7), b.constant(3.0)),
        17,
    ),
    "Gemm without bias": (lambda b: b.add("Gemm", b.add("Flatten", "x"), b.weight(120, 7)), 11),
    "MatMul and bias": (
        lambda b: b.add("Add", b.add("MatMul", b.add("Flatten", "x"), b.weight(120, 7)), b.weight(7)),
        17,
    ),
    "MatMul over rows": (lambda b: b.add("Add", b.add("MatMul", "x", b.weight(5, 3)), b.weight(3)), 17),
    "Relu": (lambda b: b.add("Relu", "x"), 17),
    "Clip inputs": (lambda b: b.add("Clip", "x", b.constant(-0.5), b.constant(0.75)), 17),
    "Clip one bound": (lambda b: b.add("Clip", "x", "", b.constant(0.75)), 17),
    "Clip attributes": (lambda b: b.add("Clip", "x", min=-0.5, max=0.75), 9),
    "Min Max": (lambda b: b.add("Max", b.constant(-0.5), b.add("Min", "x", b.constant(0.5))), 17),
    "LeakyRelu": (lambda b: b.add("LeakyRelu", "x", alpha=0.2), 17),
    "LeakyRelu default": (lambda b: b.add("LeakyRelu", "x"), 17),
    "PRelu per channel": (lambda b: b.add("PRelu", "x", b.weight(4, 1, 1)), 17),
    "PRelu shared": (lambda b: b.add("PRelu", "x", b.weight(1)), 17),
    "Sigmoid": (lambda b: b.add("Sigmoid", "x"), 17),
    "Tanh": (lambda b: b.add("Tanh", "x"), 17),
    "HardSigmoid": (lambda b: b.add("HardSigmoid", "x", alpha=0.3), 17),
    "HardSwish": (lambda b: b.add("HardSwish", "x"), 17),
    "Elu": (lambda b: b.add("Elu", "x", alpha=0.7), 17),
    "Selu": (lambda b: b.add("Selu", "x"), 17),
    "Softplus": (lambda b: b.add("Softplus", "x"), 17),
    "Sqrt": (lambda b: b.add("Sqrt", b.add("Abs", "x")), 17),
    "Mish": (lambda b: b.add("Mish", "x"), 18),
    "Erf": (lambda b: b.add("Erf", "x"), 17),
    "Exp": (lambda b: b.add("Exp", "x"), 17),
    "Abs": (lambda b: b.add("Abs", "x"), 17),
    "Gelu": (lambda b: b.add("Gelu", "x"), 20),
    "Gelu tanh": (lambda b: b.add("Gelu", "x", approximate="tanh"), 20),
    "Neg": (lambda b: b.add("Neg", "x"), 17),
    "Pow 2": (lambda b: b.add("Pow", "x", b.constant(2.0)), 17),
    "Pow 1": (lambda b: b.add("Relu", b.add("Pow", "x", b.constant(1, INT))), 17),
    "Add channel": (lambda b: b.add("Add", "x", b.weight(4, 1, 1)), 17),
    "Add last axis": (lambda b: b.add("Add", "x", b.weight(5)), 17),
    "Sub reversed": (lambda b: b.add("Sub", b.constant(1.0), "x"), 17),
    "Mul scalar, Div channel": (
        lambda b: b.add("Div", b.add("Mul", "x", b.constant(3.0)), b.constant(np.full((4, 1, 1), 4.0))),
        17,
    ),
    "Add activations": (lambda b: b.add("Add", conv(b, pads=[1] * 4), conv(b, pads=[1] * 4)), 17),
    "Sub activations": (lambda b: b.add("Sub", "x", conv(b, out=4, kernel=1)), 17),
    "Mul per channel": (lambda b: b.add("Mul", b.add("GlobalAveragePool", "x"), "x"), 17),
    "Mul per pixel": (lambda b: b.add("Mul", "x", b.add("Sigmoid", conv(b, out=1, kernel=1))), 17),
    "Add broadcast": (lambda b: b.add("Add", "x", b.add("GlobalAveragePool", conv(b, out=1))), 17),
    "GlobalAveragePool": (lambda b: b.add("GlobalAveragePool", "x"), 17),
    "GlobalMaxPool": (lambda b: b.add("GlobalMaxPool", "x"), 17),
    "ReduceMean attribute": (lambda b: b.add("ReduceMean", "x", axes=[2, 3], keepdims=0), 13),
    "ReduceMean input": (lambda b: b.add("ReduceMean", "x", b.constant([-1, -2], INT)), 18),
    "ReduceMean row, then column": (
        lambda b: b.add("ReduceMean", b.add("ReduceMean", "x", axes=[3], keepdims=0), axes=[-1], keepdims=0),
        13,
    ),
    "ReduceMean column": (lambda b: b.add("ReduceMean", "x", axes=[2]), 13),
    "ReduceMax": (lambda b: b.add("ReduceMax", "x", b.constant([2, 3], INT), keepdims=0), 18),
    "ReduceMax row": (lambda b: b.add("ReduceMax", "x", axes=[-1]), 13),
    "Expand of a pixel added": (
        lambda b: b.add(
            "Add", "x", b.add("Expand", b.add("GlobalAveragePool", "x"), b.constant([1, 4, 6, 5], INT))
        ),
        13,
    ),
    "Expand of a channel": (
        lambda b: b.add("Mul", "x", b.add("Expand", conv(b, out=1, kernel=1), b.constant([1, 4, 1, 1], INT))),
        13,
    ),
    "Expand to the same": (lambda b: b.add("Relu", b.add("Expand", "x", b.constant([1, 1], INT))), 13),
    "Tile channels": (lambda b: b.add("Tile", "x", b.constant([1, 3, 1, 1], INT)), 13),
    "Concat with zeros": (
        lambda b: b.add(
            "Concat",
            b.constant(np.zeros((1, 3, 6, 5))),
            "x",
            b.constant(np.zeros((1, 2, 6, 5))),
            conv(b, kernel=1),
            axis=1,
        ),
        13,
    ),
    "Concat of one and zeros": (
        lambda b: b.add("Concat", "x", b.constant(np.zeros((1, 4, 6, 5))), axis=1),
        13,
    ),
    "MaxPool": (lambda b: b.add("MaxPool", "x", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]), 17),
    "MaxPool ceil": (lambda b: b.add("MaxPool", "x", kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1), 17),
    "MaxPool ceil padded": (
        lambda b: b.add("MaxPool", "x", kernel_shape=[2, 2], strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1),
        17,
    ),
    "MaxPool SAME_UPPER": (
        lambda b: b.add("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
        17,
    ),
    "AveragePool": (lambda b: b.add("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), 17),
    "AveragePool include": (
        lambda b: b.add("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
        17,
    ),
    "AveragePool ceil": (
        lambda b: b.add("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        19,
    ),
    "AveragePool ceil include": (
        lambda b: b.add(
            "AveragePool",
            "x",
            kernel_shape=[3, 3],
            strides=[2, 3],
            pads=[1] * 4,
            ceil_mode=1,
            count_include_pad=1,
        ),
        19,
    ),
    "Softmax last": (lambda b: b.add("Softmax", "x", axis=-1), 17),
    "Softmax channels": (lambda b: b.add("Softmax", "x", axis=1), 17),
    "Softmax flat": (lambda b: b.add("Softmax", b.add("GlobalAveragePool", "x"), axis=1), 17),
    "Softmax 11": (lambda b: b.add("Softmax", "x", axis=2), 11),
    "Softmax 11 default": (lambda b: b.add("Softmax", "x"), 11),
    "Concat": (lambda b: b.add("Concat", "x", b.add("Relu", "x"), "x", axis=-3), 17),
    "Concat of ten": (lambda b: b.add("Concat", *["x"] * 9, b.add("Relu", "x"), axis=2), 17),
    "Concat of one": (lambda b: b.add("Concat", b.add("Relu", "x"), axis=1), 17),
    "Pad": (lambda b: b.add("Pad", "x", b.constant([0, 0, 1, 2, 0, 0, 3, 0], INT)), 17),
    "Pad attribute": (lambda b: b.add("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 3, 0]), 9),
    "Pad axes": (
        lambda b: b.add("Pad", "x", b.constant([1, 2], INT), b.constant(0.0), b.constant([-1], INT)),
        18,
    ),
    "Pad channels": (lambda b: b.add("Pad", "x", b.constant([0, 1, 1, 0, 0, 2, 0, 0], INT)), 17),
    "Resize nearest scales": (
        lambda b: b.add("Resize", "x", "", b.constant([1, 1, 2, 3]), mode="nearest"),
        17,
    ),
    "Resize nearest ceil": (
        lambda b: b.add(
            "Resize",
            "x",
            "",
            "",
            b.constant([1, 4, 9, 7], INT),
            nearest_mode="ceil",
            coordinate_transformation_mode="align_corners",
        ),
        17,
    ),
    "Resize linear sizes": (
        lambda b: b.add(
            "Resize",
            "x",
            "",
            "",
            b.constant([1, 4, 9, 3], INT),
            mode="linear",
            coordinate_transformation_mode="pytorch_half_pixel",
        ),
        17,
    ),
    "Resize linear corners": (
        lambda b: b.add(
            "Resize",
            "x",
            "",
            b.constant([1, 1, 2, 2]),
            mode="linear",
            coordinate_transformation_mode="align_corners",
        ),
        13,
    ),
    "Resize axes": (
        lambda b: b.add(
            "Resize", "x", "", b.constant([2, 2]), axes=[2, 3], coordinate_transformation_mode="asymmetric"
        ),
        18,
    ),
    "Resize 10": (lambda b: b.add("Resize", "x", b.constant([1, 1, 2, 2]), mode="linear"), 10),
    "Upsample 9": (lambda b: b.add("Upsample", "x", b.constant([1, 1, 3, 2]), mode="nearest"), 9),
    "Upsample 7": (lambda b: b.add("Upsample", "x", scales=[1.0, 1.0, 2.0, 2.0], mode="linear"), 7),
    "DepthToSpace DCR": (lambda b: b.add("DepthToSpace", "x", blocksize=2), 17),
    "DepthToSpace CRD": (lambda b: b.add("DepthToSpace", conv(b, out=8), blocksize=2, mode="CRD"), 17),
    "SpaceToDepth": (lambda b: b.add("SpaceToDepth", conv(b, kernel=2), blocksize=1), 17),
    "Split": (lambda b: b.add("Concat", *b.add("Split", "x", outputs=2, axis=1), "x", axis=1), 13),
    "Split uneven": (
        lambda b: b.add(
            "Concat", *b.add("Split", "x", b.constant([1, 3], INT), outputs=2, axis=1)[::-1], axis=1
        ),
        13,
    ),
    "Slice channels": (
        lambda b: b.add("Slice", "x", b.constant([1], INT), b.constant([3], INT), b.constant([1], INT)),
        17,
    ),
    "Slice reversed": (
        lambda b: b.add("Slice", "x", *(b.constant([v], INT) for v in (-1, -9, 1, -1))),
        17,
    ),
    "Slice strided": (
        lambda b: b.add("Slice", "x", *(b.constant(v, INT) for v in ([0, 0], [99, 99], [2, 3], [2, 2]))),
        17,
    ),
    "Slice attributes": (lambda b: b.add("Slice", b.add("Flatten", "x"), starts=[3], ends=[-2], axes=[1]), 9),
    "Slice everything": (
        lambda b: b.add("Relu", b.add("Slice", "x", b.constant([0], INT), b.constant([9], INT))),
        17,
    ),
    "Reshape": (lambda b: b.add("Reshape", b.add("Relu", "x"), b.constant([0, 2, -1], INT)), 17),
    "Flatten axis": (lambda b: b.add("Flatten", "x", axis=2), 17),
    "Squeeze Unsqueeze": (
        lambda b: b.add(
            "Unsqueeze", b.add("Squeeze", b.add("Relu", "x"), b.constant([0], INT)), b.constant([0], INT)
        ),
        17,
    ),
    "Transpose": (lambda b: b.add("Transpose", "x", perm=[0, 2, 3, 1]), 17),
    "Transpose default": (lambda b: b.add("Transpose", b.add("Relu", "x")), 17),
    "Identity Dropout": (lambda b: b.add("Identity", b.add("Dropout", b.add("Relu", "x"))), 17),
    "Dropout with an unread mask": (lambda b: b.add("Relu", b.add("Dropout", "x", outputs=2)[0]), 13),
    "MaxPool with unread indices": (
        lambda b: b.add("Relu", b.add("MaxPool", "x", outputs=2, kernel_shape=[2, 2])[0]),
        13,
    ),
    "Cast": (lambda b: b.add("Cast", b.add("Relu", "x"), to=1), 17),
}


@pytest.mark.parametrize("name", CASES)
def test_operator_matches_onnxruntime(name: str, tmp_path: Path) -> None:
    build, opset = CASES[name]
    builder = ModelBuilder(opset=opset)
    build(builder)
    assert_import_matches(builder.save(tmp_path))


def test_every_lowering_has_a_case() -> None:
    used = set()
    for build, opset in CASES.values():
        builder = ModelBuilder(opset=opset)
        build(builder)
        used |= {node.op_type for node in builder.nodes}
    assert set(LOWERINGS) == used & set(LOWERINGS)


def test_channel_shuffle_of_five_dimensions(tmp_path: Path) -> None:
    b = ModelBuilder()
    grouped = b.add("Reshape", "x", b.constant([1, 2, 2, 6, 5], INT))
    b.add("Reshape", b.add("Transpose", grouped, perm=[0, 2, 1, 3, 4]), b.constant([1, 4, 6, 5], INT))
    graph = assert_import_matches(b.save(tmp_path))
    assert ops(graph) == ["reshape", "transpose", "reshape"]


def test_shape_arithmetic_is_folded(tmp_path: Path) -> None:
    b = ModelBuilder()
    rows = b.add("Gather", b.add("Shape", "x"), b.constant(1, INT))
    target = b.add("Concat", b.constant([-1], INT), b.add("Unsqueeze", rows, b.constant([0], INT)), axis=0)
    b.add("Relu", b.add("Reshape", "x", target))
    graph = assert_import_matches(b.save(tmp_path))
    assert sorted(ops(graph)) == ["clip", "reshape"]


def test_several_inputs_and_outputs_keep_their_names(tmp_path: Path) -> None:
    b = ModelBuilder({"left": (1, 4, 6, 5), "right": (1, 4, 6, 5)})
    joined = b.add("Add", "left", "right")
    path = b.save(tmp_path, b.add("Relu", joined), joined, b.add("Identity", b.add("Sigmoid", "right")))
    graph = assert_import_matches(path)
    assert graph.inputs == ["left", "right"] and graph.outputs == ["v1", "v0", "v3"]


def test_one_value_under_two_output_names(tmp_path: Path) -> None:
    b = ModelBuilder()
    activated = b.add("Relu", "x")
    graph = assert_import_matches(b.save(tmp_path, activated, b.add("Identity", activated)))
    assert graph.outputs == ["v0", "v1"]


def test_symbolic_batch_becomes_one(tmp_path: Path) -> None:
    b = ModelBuilder({"x": ("N", 4, 6, 5)})
    b.add("Relu", "x")
    assert assert_import_matches(b.save(tmp_path)).shapes["x"] == (1, 4, 6, 5)


def test_open_dimensions_are_given(tmp_path: Path) -> None:
    b = ModelBuilder({"x": ("N", 4, "H", "W")})
    b.add("GlobalAveragePool", b.add("Relu", "x"))
    graph = assert_import_matches(b.save(tmp_path), {"x": (1, 4, 9, 8)})
    assert graph.shapes["x"] == (1, 4, 9, 8)


def test_node_names_are_kept_in_source(tmp_path: Path) -> None:
    b = ModelBuilder()
    b.add("Relu", conv(b))
    graph = assert_import_matches(b.save(tmp_path))
    assert [node.source for node in graph.nodes] == [["n0", "n1"]]
