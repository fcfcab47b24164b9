"""The engine gives the oracle's bytes: every operator case and random networks, every tier, one thread and three."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import lacewing
from lacewing.format import Model
from lacewing.library import available_tiers
from tests.model_cases import operator_cases, random_model
from tests.models import Builder, random_inputs
from tests.oracle import NanInput, run

RANDOM_MODELS = 150
CONFIGURATIONS = [(tier, threads) for tier in available_tiers() for threads in (1, 3)]


def _models() -> Iterator[tuple[str, Model]]:
    for name, build in operator_cases().items():
        yield name, build()
    for seed in range(RANDOM_MODELS):
        yield f"random {seed}", random_model(seed)


@pytest.mark.parametrize(("tier", "threads"), CONFIGURATIONS)
def test_same_bytes(tier: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sets of inputs each: what a run leaves behind must not show in the next."""
    monkeypatch.setenv("LACEWING_TIER", tier)
    for name, model in _models():
        with lacewing.Session(model.to_bytes(), threads=threads) as session:
            for seed in (1, 2):
                inputs = random_inputs(model, seed)
                results = session.run(inputs)
                for output, wanted in run(model, inputs).items():
                    assert results[output].tobytes() == wanted.tobytes(), f"{name}: {output}, inputs {seed}"


def test_special_floats() -> None:
    """Infinities quantize to the ends; a softmax without a finite maximum is one fixed NaN; NaN is an error."""
    b = Builder(1)
    x = b.input((3, 9))
    b.dequantize(b.quantize(x))
    b.softmax(b.input((4, 5)))
    model = b.finish()
    inputs = random_inputs(model, 1)
    first, second = inputs.values()
    first[0, :3] = [np.inf, -np.inf, np.float32(1e-45)]
    second[0, 2], second[1, :] = np.inf, -np.inf
    second[2, 1] = -np.inf
    results = lacewing.Session(model.to_bytes()).run(inputs)
    for output, wanted in run(model, inputs).items():
        assert results[output].tobytes() == wanted.tobytes()
    assert results[model.tensors[model.outputs[1]].name][0].view(np.uint32)[0] == 0x7FC00000
    first[1, 1] = np.nan
    with pytest.raises(NanInput):
        run(model, inputs)
    with pytest.raises(lacewing.InputError):
        lacewing.Session(model.to_bytes()).run(inputs)
