"""The shims behave as the runtimes whose names they carry, or refuse clearly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import two_inputs

import lacewing
from lacewing import InputError, SessionError, UnsupportedError
from lacewing.compat import onnxruntime as ort
from lacewing.compat.tflite import Interpreter

LEFT = np.array([[0, 1, 2, 3, 126, 127]], np.uint8)
RIGHT = np.zeros((1, 6), np.float32)


def test_inference_session_runs_by_name_and_order() -> None:
    session = ort.InferenceSession(two_inputs().to_bytes(), providers=["CPUExecutionProvider"])
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        ("left", "tensor(uint8)", [1, 6]),
        ("right", "tensor(float)", [1, 6]),
    ]
    assert [o.name for o in session.get_outputs()] == ["kept", "soft"]
    kept, soft = session.run(None, {"left": LEFT, "right": RIGHT})
    assert kept.tolist() == [[127, 126, 125, 124, 1, 0]]
    reordered = session.run(["soft", "kept"], {"left": LEFT, "right": RIGHT})
    assert reordered[0].tobytes() == soft.tobytes() and reordered[1].tobytes() == kept.tobytes()
    assert session.get_providers() == ort.get_available_providers() == ["CPUExecutionProvider"]


def test_inference_session_options(classifier_path: Path) -> None:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 3
    session = ort.InferenceSession(classifier_path, options)
    assert session._session.threads == 3
    with pytest.raises(UnsupportedError, match="graph_optimization_level"):
        options.graph_optimization_level = 99  # type: ignore[attr-defined]


def test_inference_session_refusals() -> None:
    file = two_inputs().to_bytes()
    with pytest.raises(InputError, match="CPUExecutionProvider"):
        ort.InferenceSession(file, providers=[("CUDAExecutionProvider", {})])
    session = ort.InferenceSession(file, providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
    with pytest.raises(InputError, match="no output 'keep'"):
        session.run(["keep"], {"left": LEFT, "right": RIGHT})
    with pytest.raises(UnsupportedError, match="run_options"):
        session.run(None, {"left": LEFT, "right": RIGHT}, object())  # type: ignore[arg-type]
    with pytest.raises(lacewing.ModelFormatError):
        ort.InferenceSession(b"no model")


def test_interpreter_runs() -> None:
    interpreter = Interpreter(model_content=two_inputs().to_bytes())
    interpreter.allocate_tensors()
    left, right = interpreter.get_input_details()
    kept, soft = interpreter.get_output_details()
    assert [d["index"] for d in (left, right, kept, soft)] == [0, 1, 2, 3]
    assert left["dtype"] is np.uint8 and left["quantization"] == (0.5, 3)
    assert right["quantization_parameters"]["scales"].size == 0
    assert left["shape"].tolist() == [1, 6]
    interpreter.set_tensor(left["index"], LEFT)
    interpreter.invoke()
    assert interpreter.get_tensor(kept["index"]).tolist() == [[127, 126, 125, 124, 1, 0]]
    np.testing.assert_allclose(interpreter.get_tensor(soft["index"]), 1 / 6, rtol=1e-6)
    interpreter.allocate_tensors()
    assert interpreter.get_tensor(left["index"]).tolist() == LEFT.tolist(), "allocating again keeps inputs"


def test_interpreter_copies_what_it_gets_and_gives() -> None:
    interpreter = Interpreter(model_content=two_inputs().to_bytes())
    interpreter.allocate_tensors()
    mine = LEFT.copy()
    interpreter.set_tensor(0, mine)
    mine[:] = 0
    interpreter.invoke()
    result = interpreter.get_tensor(2)
    result[:] = 5
    assert interpreter.get_tensor(2).tolist() == [[127, 126, 125, 124, 1, 0]]


def test_interpreter_refusals(classifier_path: Path) -> None:
    with pytest.raises(InputError, match="either"):
        Interpreter()
    with pytest.raises(InputError, match="either"):
        Interpreter(classifier_path, b"")
    interpreter = Interpreter(classifier_path, num_threads=2)
    with pytest.raises(SessionError, match="allocate_tensors"):
        interpreter.invoke()
    interpreter.allocate_tensors()
    with pytest.raises(SessionError, match="invoke"):
        interpreter.get_tensor(1)
    with pytest.raises(InputError, match="no tensor 9"):
        interpreter.get_tensor(9)
    with pytest.raises(InputError, match="no input tensor 1"):
        interpreter.set_tensor(1, LEFT)
    with pytest.raises(InputError, match="wanted float32"):
        interpreter.set_tensor(0, LEFT)
    with pytest.raises(UnsupportedError, match="fixed"):
        interpreter.resize_tensor_input(0, [2, 3, 33, 33])
