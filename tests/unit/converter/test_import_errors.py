"""What import refuses, and that it says so with a typed error that names the culprit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx_models import ModelBuilder, assert_import_matches

from lacewing.converter.errors import (
    ConversionError,
    ModelFileError,
    OptionError,
    Problem,
    UnsupportedModelError,
)
from lacewing.converter.input_shapes import parse_input_shapes
from lacewing.converter.onnx_import import import_onnx
from lacewing.converter.passes import run_passes
from lacewing.exit_codes import ExitCode

INT = np.int64


def small_model() -> onnx.ModelProto:
    b = ModelBuilder()
    b.add("Relu", b.add("Conv", "x", b.weight(6, 4, 3, 3)))
    return b.model()


def problems_of(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(UnsupportedModelError) as caught:
        run_passes(import_onnx(path))
    return caught.value.problems


# Files


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"not a model", b"\xff" * 100])
def test_garbage_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "garbage.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"garbage\.onnx"):
        import_onnx(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        import_onnx(tmp_path / "absent.onnx")
    with pytest.raises(ModelFileError, match="not a regular file"):
        import_onnx(tmp_path)


def test_errors_have_exit_codes() -> None:
    assert ModelFileError("").exit_code == ExitCode.BAD_MODEL
    assert OptionError("").exit_code == ExitCode.USAGE
    assert UnsupportedModelError([]).exit_code == ExitCode.UNSUPPORTED


@settings(max_examples=150, deadline=None)
@given(cut=st.floats(0, 1), position=st.floats(0, 1), byte=st.integers(0, 255))
def test_damaged_file_never_escapes_the_error_types(
    cut: float, position: float, byte: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(small_model().SerializeToString())
    content[int(position * (len(content) - 1))] = byte
    path = tmp_path_factory.mktemp("damaged") / "model.onnx"
    path.write_bytes(content[: int(cut * len(content))] if cut < 0.5 else content)
    try:
        import_onnx(path)
    except ConversionError as error:
        assert str(error)


@pytest.mark.parametrize(("opset", "fits"), [(6, False), (7, True), (22, True), (23, False)])
def test_opset_range(opset: int, fits: bool, tmp_path: Path) -> None:
    b = ModelBuilder(opset=opset)
    b.add("Relu", "x")
    path = b.save(tmp_path)
    if fits:
        assert_import_matches(path)
    else:
        with pytest.raises(ModelFileError, match=f"opset {opset}"):
            import_onnx(path)


def test_no_opset_of_the_onnx_domain(tmp_path: Path) -> None:
    model = small_model()
    model.opset_import[0].domain = "com.example"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelFileError, match=r"ai\.onnx"):
        import_onnx(tmp_path / "m.onnx")


def test_model_that_the_checker_refuses(tmp_path: Path) -> None:
    model = small_model()
    model.graph.node[1].input[0] = "nowhere"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelFileError, match="nowhere"):
        import_onnx(tmp_path / "m.onnx")


def test_weight_shorter_than_its_shape(tmp_path: Path) -> None:
    model = small_model()
    model.graph.initializer[0].raw_data = b"\x00" * 8
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelFileError):
        import_onnx(tmp_path / "m.onnx")


# External data


def external_model(folder: Path, **entries: str) -> Path:
    """small_model with its weight outside; ``entries`` replace the honest location, offset and length."""
    model = small_model()
    tensor = model.graph.initializer[0]
    (folder / "weights.bin").write_bytes(b"\x00" * 16 + tensor.raw_data)
    honest = {"location": "weights.bin", "offset": "16", "length": str(len(tensor.raw_data))}
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (honest | entries).items():
        tensor.external_data.add(key=key, value=value)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data_are_read(tmp_path: Path) -> None:
    assert_import_matches(external_model(tmp_path))


@pytest.mark.parametrize(
    "entries",
    [
        {"location": "../weights.bin"},
        {"location": "sub/../../weights.bin"},
        {"location": "/etc/hostname"},
        {"location": "C:\\weights.bin"},
        {"location": "..\\weights.bin"},
        {"location": "link.bin"},
        {"location": "linked/weights.bin"},
        {"location": ""},
        {"location": "weights\0.bin"},
        {"location": "absent.bin"},
        {"location": "."},
        {"offset": "-1"},
        {"offset": "17"},
        {"offset": "99999999999999999999"},
        {"offset": "many"},
        {"length": "8"},
        {"length": "-1"},
    ],
    ids=str,
)
def test_external_data_stay_in_the_folder(entries: dict[str, str], tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "model"
    outside.mkdir()
    folder.mkdir()
    path = external_model(folder, **entries)
    for target in (outside, tmp_path):
        (target / "weights.bin").write_bytes((folder / "weights.bin").read_bytes())
    os.symlink(outside / "weights.bin", folder / "link.bin")
    os.symlink(outside, folder / "linked")
    with pytest.raises(ModelFileError):
        import_onnx(path)


def test_external_tensor_of_hostile_size(tmp_path: Path) -> None:
    path = external_model(tmp_path)
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].dims[:] = [1 << 40, 1 << 40, 1, 1]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError):
        import_onnx(path)


# Shapes


def test_open_dimensions_are_listed(tmp_path: Path) -> None:
    b = ModelBuilder({"first": (1, 4, "H", 5), "second": (1, 4, "H", None)})
    b.add("Add", "first", "second")
    with pytest.raises(OptionError, match=r"first.*H.*second.*--input-shape"):
        import_onnx(b.save(tmp_path))


@pytest.mark.parametrize(
    "shapes", [{"y": (1, 4, 6, 5)}, {"x": (1, 5, 6, 5)}, {"x": (1, 4, 6)}, {"x": (0, 4, 6, 5)}]
)
def test_input_shape_that_does_not_fit(shapes: dict[str, tuple[int, ...]], tmp_path: Path) -> None:
    b = ModelBuilder({"x": ("N", 4, "H", "W")})
    b.add("Relu", "x")
    with pytest.raises(OptionError, match="input-shape"):
        import_onnx(b.save(tmp_path), shapes)


def test_input_shape_option() -> None:
    assert parse_input_shapes(["a:1x3x8x8", "b:0:2x5"]) == {"a": (1, 3, 8, 8), "b:0": (2, 5)}
    for text in ("a", "a:", ":1x2", "a:1x", "a:0x2", "a:1x-2", "a:1*2", "a:²x2"):
        with pytest.raises(OptionError, match="input-shape"):
            parse_input_shapes([text])
    with pytest.raises(OptionError, match="twice"):
        parse_input_shapes(["a:1x2", "a:1x2"])


def test_dimension_beyond_the_format(tmp_path: Path) -> None:
    b = ModelBuilder({"x": (1, 70000)})
    b.add("Relu", "x")
    assert "70000" in str(problems_of(b.save(tmp_path))[0])


def test_constant_that_would_fill_memory(tmp_path: Path) -> None:
    b = ModelBuilder()
    huge = b.add("ConstantOfShape", b.constant([1 << 20, 1 << 20], INT))
    b.add("Add", "x", b.add("ReduceMean", huge, keepdims=0))
    assert "too large" in str(problems_of(b.save(tmp_path))[0])


# Unsupported parts


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    b = ModelBuilder()
    pooled = b.add("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2])
    norm = b.add("InstanceNormalization", b.add("Relu", pooled), b.weight(4), b.weight(4))
    grown = b.add("Resize", norm, "", b.constant([1, 1, 2, 2]), mode="cubic")
    deconvolved = b.add("ConvTranspose", grown, b.weight(4, 2, 2, 2))
    b.add("TopK", deconvolved, b.constant([1], INT), outputs=2)
    found = [(p.node, p.op_type, p.attribute) for p in problems_of(b.save(tmp_path, "v5_0"))]
    assert sorted(found) == [
        ("n0", "MaxPool", "dilations"),
        ("n2", "InstanceNormalization", ""),
        ("n3", "Resize", "mode"),
        ("n4", "ConvTranspose", ""),
        ("n5", "TopK", ""),
    ]


def test_quantized_model_gets_the_hint(tmp_path: Path) -> None:
    b = ModelBuilder()
    scale, zero = b.constant(0.1), b.constant(0, np.uint8)
    b.add("DequantizeLinear", b.add("QuantizeLinear", "x", scale, zero), scale, zero)
    assert all("float model" in p.hint for p in problems_of(b.save(tmp_path)))


def test_foreign_domain(tmp_path: Path) -> None:
    b = ModelBuilder()
    b.add("Relu", "x", domain="com.example")
    model = b.model()
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    onnx.save(model, tmp_path / "m.onnx")
    assert "com.example" in problems_of(tmp_path / "m.onnx")[0].reason


def test_integer_input(tmp_path: Path) -> None:
    b = ModelBuilder()
    b.add("Relu", b.add("Cast", "x", to=1))
    model = b.model()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    onnx.save(model, tmp_path / "m.onnx")
    assert [(p.op_type, p.attribute) for p in problems_of(tmp_path / "m.onnx")] == [
        ("input", ""),
        ("Cast", "to"),
    ]


REFUSED: dict[str, tuple[Any, str]] = {
    "weights computed at run time": (lambda b: b.add("Conv", "x", b.add("Relu", "x")), "W"),
    "NaN weights": (lambda b: b.add("Conv", "x", b.constant(np.full((1, 4, 1, 1), np.nan))), "W"),
    "gemm transA": (lambda b: b.add("Gemm", b.add("Flatten", "x"), b.weight(1, 2), transA=1), "transA"),
    "matmul of activations": (
        lambda b: b.add("MatMul", "x", b.add("Transpose", "x", perm=[0, 1, 3, 2])),
        "input 1",
    ),
    "division of activations": (lambda b: b.add("Div", "x", "x"), ""),
    "division by zero": (lambda b: b.add("Div", "x", b.constant(0.0)), "input 0"),
    "constant per pixel": (lambda b: b.add("Add", "x", b.weight(6, 5)), ""),
    "negative variance": (
        lambda b: b.add("BatchNormalization", "x", *[b.constant([-1.0] * 4) for _ in range(4)]),
        "variance",
    ),
    "dropout in training": (
        lambda b: b.add("Dropout", "x", b.constant(0.5), b.constant(True, np.bool_)),
        "training_mode",
    ),
    "maximum over channels": (lambda b: b.add("ReduceMax", "x", axes=[1, 2]), "axes"),
    "tiled pixels": (lambda b: b.add("Tile", "x", b.constant([1, 1, 2, 1], INT)), "repeats"),
    "concat with a constant": (
        lambda b: b.add("Concat", "x", b.constant(np.ones((1, 4, 6, 5))), axis=1),
        "input 1",
    ),
    "mean over channels": (lambda b: b.add("ReduceMean", "x", axes=[1]), "axes"),
    "reflecting pad": (
        lambda b: b.add("Pad", "x", b.constant([0, 0, 1, 1] * 2, INT), mode="reflect"),
        "mode",
    ),
    "pad with ones": (
        lambda b: b.add("Pad", "x", b.constant([0, 0, 1, 1] * 2, INT), b.constant(1.0)),
        "constant_value",
    ),
    "cropping pad": (lambda b: b.add("Pad", "x", b.constant([0, 0, -1, 1] * 2, INT)), "pads"),
    "crop": (lambda b: b.add("Slice", "x", *(b.constant([v], INT) for v in (1, 3, 2))), "axes"),
    "resize of channels": (lambda b: b.add("Resize", "x", "", b.constant([1, 2, 1, 1])), "scales"),
    "resize to a fraction": (lambda b: b.add("Resize", "x", "", b.constant([1, 1, 1, 1.5])), "scales"),
    "pooling indices that are read": (
        lambda b: b.add(
            "Add", "x", b.add("Cast", b.add("MaxPool", "x", outputs=2, kernel_shape=[1, 1])[1], to=1)
        ),
        "outputs",
    ),
    "huge pad": (lambda b: b.add("Pad", "x", b.constant([0, 1 << 40, 0, 0] * 2, INT)), ""),
    "softsign": (lambda b: b.add("Softsign", "x"), ""),
    "third power": (lambda b: b.add("Pow", "x", b.constant(3.0)), "exponent"),
    "slope per pixel": (lambda b: b.add("PRelu", "x", b.weight(6, 5)), "slope"),
    "maximum of activations": (lambda b: b.add("Max", "x", b.add("Relu", "x")), ""),
    "run-time shape": (lambda b: b.add("Reshape", "x", b.add("Cast", "x", to=7)), "to"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_attribute_at_fault(name: str, tmp_path: Path) -> None:
    build, attribute = REFUSED[name]
    b = ModelBuilder(opset=13)
    output = build(b)
    found = problems_of(b.save(tmp_path, output))
    assert attribute in [problem.attribute for problem in found], found


def test_selection_of_too_many_channels(tmp_path: Path) -> None:
    b = ModelBuilder({"x": (1, 60000)})
    b.add("Slice", "x", b.constant([1], INT), b.constant([50000], INT), b.constant([1], INT))
    assert "select fewer" in problems_of(b.save(tmp_path))[0].hint


def test_half_precision_model_is_widened(tmp_path: Path) -> None:
    b = ModelBuilder()
    half = b.constant(b.rng.normal(size=(6, 4, 3, 3)), np.float16)
    b.add(
        "Cast",
        b.add("Relu", b.add("Conv", b.add("Cast", "x", to=TensorProto.FLOAT16), half)),
        to=TensorProto.FLOAT,
    )
    graph = run_passes(import_onnx(b.save(tmp_path)))
    stored = numpy_helper.to_array(b.constants[0]).astype(np.float32)
    assert [node.op for node in graph.nodes] == ["conv"]
    assert np.array_equal(graph.nodes[0].weights["weight"], stored)
