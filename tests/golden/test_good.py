"""Files of every released version still load, give the same outputs, and are what the writer would write."""

from __future__ import annotations

import json
from typing import Any

import pytest

import lacewing
from lacewing.format import Model
from lacewing.format.description import VERSION_MAJOR, VERSION_MINOR
from tests.conformance.inputs import vector_inputs
from tests.conformance.make_vectors import digests
from tests.golden.make_good import GOOD, INDEX
from tests.oracle import run

INDEXED: dict[str, Any] = json.loads(INDEX.read_text())


def test_index_and_files_agree() -> None:
    """Nothing was lost."""
    assert {path.name for path in GOOD.glob("*.lace")} == set(INDEXED)
    assert any(name.startswith(f"v{VERSION_MAJOR}.{VERSION_MINOR}_") for name in INDEXED)


@pytest.mark.parametrize("name", INDEXED)
def test_same_outputs(name: str) -> None:
    """In the engine and in the oracle."""
    file = (GOOD / name).read_bytes()
    model = Model.from_bytes(file)
    inputs = vector_inputs(model, INDEXED[name]["seed"])
    assert digests(lacewing.Session(file).run(inputs)) == INDEXED[name]["outputs"]
    assert digests(run(model, inputs)) == INDEXED[name]["outputs"]


@pytest.mark.parametrize("name", [n for n in INDEXED if n.startswith(f"v{VERSION_MAJOR}.{VERSION_MINOR}_")])
def test_one_encoding(name: str) -> None:
    """Reading and writing gives the same bytes."""
    file = (GOOD / name).read_bytes()
    assert Model.from_bytes(file).to_bytes() == file
