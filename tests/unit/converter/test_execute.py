"""The float executor: batches, intermediate values, and inputs that do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_models import ModelBuilder, random_inputs

from lacewing.converter.errors import CalibrationError, OptionError
from lacewing.converter.execute import Executor
from lacewing.converter.ir import Graph
from lacewing.converter.ir_to_onnx import UNARY_FUNCTIONS, is_batchable, to_onnx
from lacewing.converter.lowering.tables import UNARY
from lacewing.converter.onnx_import import import_onnx
from lacewing.converter.passes import run_passes


def network(tmp_path: Path, batchable: bool = True) -> Graph:
    b = ModelBuilder()
    activated = b.add("Relu", b.add("Conv", "x", b.weight(6, 4, 3, 3)))
    if batchable:
        b.add("Gemm", b.add("Flatten", activated), b.weight(72, 5))
    else:
        b.add("Transpose", activated, perm=[1, 0, 2, 3])
    return run_passes(import_onnx(b.save(tmp_path)))


@pytest.mark.parametrize("batchable", [True, False])
def test_a_batch_equals_its_samples(batchable: bool, tmp_path: Path) -> None:
    graph = network(tmp_path, batchable)
    assert is_batchable(graph) == batchable
    executor = Executor(graph, threads=1)
    batch = random_inputs(graph, samples=3)["x"]
    together = executor.run({"x": batch})[graph.outputs[0]]
    alone = [executor.run({"x": batch[i : i + 1]})[graph.outputs[0]] for i in range(3)]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-5, atol=1e-6)


def test_any_value_can_be_asked_for(tmp_path: Path) -> None:
    graph = network(tmp_path)
    values = ["x", graph.nodes[0].output, graph.outputs[0]]
    inputs = random_inputs(graph, samples=2)
    found = Executor(graph, values).run(inputs)
    assert list(found) == values
    assert found["x"] is inputs["x"] or np.array_equal(found["x"], inputs["x"])
    assert found[values[1]].shape == (2, *graph.shapes[values[1]][1:])
    assert found[values[1]].min() >= 0.0  # the fused clamp belongs to the value
    assert np.array_equal(Executor(graph, ["x"]).run(inputs)["x"], inputs["x"])


def test_unknown_value(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="nothing_such"):
        Executor(network(tmp_path), ["nothing_such"])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "missing"),
        ({"x": np.zeros((1, 4, 6, 5))}, "float64"),
        ({"x": np.zeros((1, 4, 5, 6), np.float32)}, "shape"),
        ({"x": np.zeros((0, 4, 6, 5), np.float32)}, "shape"),
        ({"x": np.zeros((4, 6, 5), np.float32)}, "shape"),
        ({"x": np.zeros((1, 4, 6, 5), np.float32), "y": np.zeros(1, np.float32)}, "no inputs y"),
    ],
    ids=["missing", "double", "transposed", "no samples", "no batch axis", "extra"],
)
def test_inputs_that_do_not_fit(inputs: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=message):
        Executor(network(tmp_path)).run(inputs)


def test_inputs_of_different_length(tmp_path: Path) -> None:
    b = ModelBuilder({"a": (1, 4), "b": (1, 4)})
    b.add("Add", "a", "b")
    executor = Executor(run_passes(import_onnx(b.save(tmp_path))))
    with pytest.raises(CalibrationError, match="samples"):
        executor.run({"a": np.zeros((2, 4), np.float32), "b": np.zeros((3, 4), np.float32)})


def test_the_written_model_is_valid(tmp_path: Path) -> None:
    model = to_onnx(network(tmp_path))
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["x"]


def test_every_function_has_a_table() -> None:
    assert set(UNARY) >= UNARY_FUNCTIONS
