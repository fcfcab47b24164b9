"""The committed vectors give the committed digests: in the oracle, and in the engine at every tier and thread count."""

from __future__ import annotations

import json
from typing import Any

import pytest

import lacewing
from lacewing.format import Model
from lacewing.format.description import OPERATORS
from lacewing.library import available_tiers
from tests.conformance.inputs import vector_inputs
from tests.conformance.make_vectors import FOLDER, INDEX, digests
from tests.oracle import run

VECTORS: dict[str, Any] = json.loads(INDEX.read_text())


def _model(name: str) -> Model:
    return Model.from_bytes((FOLDER / f"{name}.lace").read_bytes())


def test_index_and_files_agree() -> None:
    """No file without a digest, no digest without a file."""
    assert {path.stem for path in FOLDER.glob("*.lace")} == set(VECTORS)


def test_every_operator_has_a_vector() -> None:
    """A new operator needs one."""
    kinds = {op.kind for name in VECTORS for op in _model(name).ops}
    assert kinds == {op.name for op in OPERATORS}


@pytest.mark.parametrize("name", VECTORS)
def test_oracle(name: str) -> None:
    """numpy's answer has not changed."""
    model = _model(name)
    assert digests(run(model, vector_inputs(model, VECTORS[name]["seed"]))) == VECTORS[name]["outputs"]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("tier", available_tiers())
def test_engine(tier: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tier of this machine, alone and with threads."""
    monkeypatch.setenv("LACEWING_TIER", tier)
    wrong = []
    for name, vector in VECTORS.items():
        inputs = vector_inputs(_model(name), vector["seed"])
        with lacewing.Session(FOLDER / f"{name}.lace", threads=threads) as session:
            if digests(session.run(inputs)) != vector["outputs"]:
                wrong.append(name)
    assert not wrong
