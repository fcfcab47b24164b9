"""The ONNX twin of a ``.lace`` model: valid, complete, and close to what the engine computes."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

import lacewing
from lacewing.converter.onnx_twin import _EMIT, export, to_twin
from lacewing.format.description import OPERATORS
from tests.model_cases import random_model
from tests.models import Builder


def test_every_operator_has_a_twin():
    assert set(_EMIT) == {op.name for op in OPERATORS}


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_load_and_have_the_same_shapes(seed):
    model = random_model(seed)
    session = onnxruntime.InferenceSession(to_twin(model).SerializeToString())
    assert [o.shape for o in session.get_outputs()] == [list(model.tensors[i].dims) for i in model.outputs]


@pytest.mark.parametrize("head", ["f32", "f32_flat"])
def test_twin_of_a_float_pool_follows_the_engine(head):
    """The same bits but for the order of the float additions: nothing rounds after the sum."""
    builder = Builder(seed=4)
    builder.global_pool(builder.image(6, 5, 7), head)
    model = builder.finish()
    source = model.tensors[model.ops[-1].inputs[0]]
    model.ops[-1].data["multipliers"][0] = source.scale / 35
    name = model.tensors[model.inputs[0]].name
    inputs = {name: np.random.default_rng(0).uniform(-1, 1, (1, 6, 5, 7)).astype(np.float32)}
    got = onnxruntime.InferenceSession(to_twin(model).SerializeToString()).run(None, inputs)[0]
    with lacewing.Session(model.to_bytes()) as engine:
        wanted = next(iter(engine.run(inputs).values()))
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


def test_twin_of_a_convolution_follows_the_engine(tmp_path):
    builder = Builder(seed=3)
    value = builder.conv(
        builder.image(5, 9, 9), 12, kernel=(3, 3), pads=(1, 1, 1, 1), block_rows=2, density=0.5
    )
    builder.conv(value, 7, head="f32")
    model = builder.finish()
    file = model.to_bytes()
    export(file, tmp_path / "twin.onnx")
    name = model.tensors[model.inputs[0]].name
    inputs = {name: np.random.default_rng(0).uniform(-1, 1, (1, 5, 9, 9)).astype(np.float32)}
    session = onnxruntime.InferenceSession(str(tmp_path / "twin.onnx"))
    got = session.run(None, inputs)[0]
    with lacewing.Session(file) as engine:
        wanted = next(iter(engine.run(inputs).values()))
    # A rounding tie may fall to the other side: one step of one input of the last layer.
    assert np.mean(np.abs(got - wanted)) < 0.02 * np.std(wanted), (got.std(), wanted.std())
