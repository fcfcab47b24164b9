"""Every invariant has files that break it and nothing else; each is refused under its own name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lacewing
from lacewing.errors import ModelFormatError
from lacewing.format.description import INVARIANTS
from tests.golden.base import base_model
from tests.golden.cases import too_much_metadata
from tests.golden.make_bad import BAD, bad_files
from tests.models import random_inputs
from tests.oracle import run

FILES = sorted(BAD.glob("*.lace"), key=lambda path: path.name)


def test_every_invariant_has_a_file() -> None:
    """A rule without a file that breaks it is not tested."""
    assert {path.name.split(".")[0] for path in FILES} == {f"{i.number:02}_{i.name}" for i in INVARIANTS}


def test_committed_files_are_what_the_script_writes() -> None:
    """The files can be read: their script says what is wrong with each."""
    assert {path.name: path.read_bytes() for path in FILES} == bad_files()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_refused_by_name(path: Path) -> None:
    """From bytes and from a path, by verify and by Session."""
    number, name = path.name.split(".")[0].split("_", 1)
    for attempt in (
        lambda: lacewing.verify(path.read_bytes()),
        lambda: lacewing.verify(path),
        lambda: lacewing.Session(path),
    ):
        with pytest.raises(ModelFormatError) as caught:
            attempt()
        assert (caught.value.code, caught.value.name) == (int(number), name)


def test_metadata_above_the_limit() -> None:
    """Too large to commit."""
    with pytest.raises(ModelFormatError) as caught:
        lacewing.verify(too_much_metadata())
    assert caught.value.name == "metadata"


def test_the_base_is_valid() -> None:
    """Else the bad files would prove nothing."""
    model = base_model()
    file = model.to_bytes()
    lacewing.verify(file)
    inputs = random_inputs(model, 0)
    result = lacewing.Session(file).run(inputs)["result"]
    assert np.array_equal(result, run(model, inputs)["result"])
