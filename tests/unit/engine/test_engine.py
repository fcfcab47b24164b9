"""Whole models in the engine: against the oracle, at every tier, with threads; and the limits of a run."""

from __future__ import annotations

import ctypes as c
from pathlib import Path

import numpy as np
import pytest

from lacewing.format import Model
from tests.model_cases import operator_cases, random_model
from tests.models import random_inputs
from tests.oracle.run import run_all
from tests.unit.engine.library import TIERS, Engine, EngineError, aligned_copy, load, running, verify

CASES = operator_cases()
BAD = sorted((Path(__file__).resolve().parents[2] / "golden" / "bad").glob("*.lace"))


@pytest.fixture(scope="module")
def lib() -> c.CDLL:
    """The engine."""
    return load()


def tiers(lib: c.CDLL) -> list[str]:
    """Tiers that this machine and build can run."""
    return [name for name, number in TIERS.items() if lib.lw_tier_available(c.c_int(number))]


def assert_same_everywhere(lib: c.CDLL, model: Model, seed: int) -> None:
    """Every operator's result at every tier, and the outputs with 2 and 3 threads, are the oracle's."""
    file, inputs = model.to_bytes(), random_inputs(model, seed)
    assert verify(lib, file) == "ok"
    wanted = run_all(model, inputs)
    for tier in tiers(lib):
        with running(lib, file, tier) as engine:
            for op, want, got in zip(model.ops, wanted.per_op, engine.run_observed(inputs), strict=True):
                assert want.tobytes() == got.tobytes(), (tier, op.kind, op.name, engine.op(0).kernel)
            for _ in range(2):  # what a run leaves in the arena must not reach the next
                outputs = engine.run(inputs)
                assert all(outputs[name].tobytes() == wanted.outputs[name].tobytes() for name in outputs), (
                    tier
                )
        for threads in (2, 3):
            with running(lib, file, tier, threads=threads) as engine:
                outputs = engine.run(inputs)
                for name in outputs:
                    assert outputs[name].tobytes() == wanted.outputs[name].tobytes(), (tier, threads)


@pytest.mark.parametrize("name", CASES)
def test_operator(lib: c.CDLL, name: str) -> None:
    """One operator, or a small network."""
    assert_same_everywhere(lib, CASES[name](), 1)


@pytest.mark.parametrize("seed", range(40))
def test_random_network(lib: c.CDLL, seed: int) -> None:
    """Random chains of operators: lifetimes, in-place results, joins without copies."""
    assert_same_everywhere(lib, random_model(seed), seed)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_bad_file(lib: c.CDLL, path: Path) -> None:
    """Each rule's files are refused under that rule's name."""
    assert verify(lib, path.read_bytes()) == path.name.split(".")[0].split("_", 1)[1]


def test_memory_limit(lib: c.CDLL) -> None:
    """The limit is kept, and the error says how much is wanted."""
    file = random_model(3).to_bytes()
    with pytest.raises(EngineError, match="memory") as caught:
        Engine(lib, file, max_memory=64)
    with running(lib, file, max_memory=caught.value.found):
        pass
    with pytest.raises(EngineError, match="memory"):
        Engine(lib, file, max_memory=caught.value.found - 1)


def test_unavailable_tier(lib: c.CDLL) -> None:
    """A tier that is not built in is an error, never another tier."""
    foreign = next(name for name in TIERS if name not in tiers(lib))
    with pytest.raises(EngineError) as caught:
        Engine(lib, random_model(0).to_bytes(), tier=foreign)
    assert caught.value.name == "kernel"


def test_misaligned_file(lib: c.CDLL) -> None:
    """A file off its line is refused before it is read."""
    file = random_model(0).to_bytes()
    moved = aligned_copy(bytes(8) + file)
    status = lib.lw_verify(c.c_void_p(moved.ctypes.data + 8), c.c_size_t(len(file)), None)
    assert status == 65


def float_input(model: Model) -> str:
    """Name of the first float input."""
    return next(model.tensors[i].name for i in model.inputs if model.tensors[i].dtype == "f32")


@pytest.mark.parametrize("name", ["conv_stem", "softmax"])
def test_nan_input(lib: c.CDLL, name: str) -> None:
    """NaN is an error that names the input, through quantize and through float operators."""
    model = CASES[name]()
    inputs = random_inputs(model, 0)
    target = float_input(model)
    inputs[target] = inputs[target].copy()
    inputs[target].flat[-1] = np.nan
    with running(lib, model.to_bytes()) as engine:
        with pytest.raises(EngineError) as caught:
            engine.run(inputs)
        assert (caught.value.name, caught.value.where) == ("input_nan", "input")
        assert model.tensors[model.inputs[caught.value.index]].name == target
        engine.run(random_inputs(model, 0))  # an error leaves the model usable


def test_input_above_range(lib: c.CDLL) -> None:
    """A u7 input of 128 is an error."""
    model = next(m for m in (case() for case in CASES.values()) if m.tensors[m.inputs[0]].dtype == "u7")
    inputs = random_inputs(model, 0)
    name = model.tensors[model.inputs[0]].name
    inputs[name] = np.full_like(inputs[name], 128)
    with running(lib, model.to_bytes()) as engine, pytest.raises(EngineError) as caught:
        engine.run(inputs)
    assert (caught.value.name, caught.value.found) == ("input_range", 128)


def test_busy_model(lib: c.CDLL) -> None:
    """A run inside a run (from the observer) is refused."""
    model = CASES["conv_stem"]()
    inputs = random_inputs(model, 0)
    with running(lib, model.to_bytes()) as engine:
        seen = []

        def observe(_: object, __: int) -> None:
            seen.append(lib.lw_run(engine.model, c.c_void_p(engine.memory.ctypes.data), c.c_void_p(1), None))

        callback = c.CFUNCTYPE(None, c.c_void_p, c.c_uint32)(observe)
        lib.lw_model_observe(engine.model, callback, None)
        engine.run(inputs)
    assert seen == [70] * len(model.ops)


def test_arena_is_shared(lib: c.CDLL) -> None:
    """A chain needs room for its two largest neighbours, not for every tensor."""
    model = CASES["conv_stem"]()
    with running(lib, model.to_bytes()) as engine:
        quads = [t for t in model.tensors if t.layout == "quads"]
        total = sum(-(-t.dims[1] // 4) * (-(-t.dims[2] * t.dims[3] // 16) | 1) * 64 for t in quads)
        assert 0 < engine.arena_bytes <= total
