"""Damaged files are refused with a typed error or run without any fault, under ASan and UBSan, at every tier."""

from __future__ import annotations

import struct
import subprocess
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from lacewing.format.description import INVARIANTS, RUN_ERRORS
from tests.conformance.make_vectors import FOLDER
from tests.fuzz import mutations
from tests.fuzz.build import program
from tests.fuzz.mutations import Mutation
from tests.golden.base import base_model
from tests.golden.make_bad import BAD

NAMES = {0: "ran", **{i.number: i.name for i in INVARIANTS}, **{n: name for n, name, _ in RUN_ERRORS}}
BASE = base_model().to_bytes()


@pytest.fixture(scope="session")
def sanitized() -> Path:
    """The driver, compiled once."""
    return program("driver")


def attempt_all(executable: Path, files: Iterable[Mutation]) -> Counter[str]:
    """How many files met which status. Fails with the label of the file that ended the driver."""
    labels, records = [], []
    for label, file in files:
        labels.append(label)
        records.append(struct.pack("<I", len(file)) + file)
    done = subprocess.run([executable], input=b"".join(records), capture_output=True, check=False)
    statuses = np.frombuffer(done.stdout, "<u4")
    if done.returncode != 0:
        pytest.fail(f"{labels[len(statuses)]}:\n{done.stderr.decode(errors='replace')[-4000:]}")
    assert len(statuses) == len(labels)
    return Counter(NAMES[int(s)] for s in statuses)


def test_valid_files_run(sanitized: Path) -> None:
    """The conformance vectors, every tier, in memory of exactly the promised sizes."""
    files = [(path.name, path.read_bytes()) for path in sorted(FOLDER.glob("*.lace"))]
    assert attempt_all(sanitized, files) == {"ran": len(files)}


def test_bad_files(sanitized: Path) -> None:
    """The golden bad files, each refused for its reason in C too."""
    for path in sorted(BAD.glob("*.lace")):
        name = path.name.split(".")[0].split("_", 1)[1]
        assert attempt_all(sanitized, [(path.name, path.read_bytes())]) == {name: 1}, path.name


def test_truncation_at_every_byte(sanitized: Path) -> None:
    """No prefix of a file is a file."""
    result = attempt_all(sanitized, mutations.truncations(BASE))
    assert result == {"truncated": len(BASE)}
    assert "ran" not in attempt_all(sanitized, mutations.whole_truncations(BASE))


def test_every_bit_flip_is_noticed(sanitized: Path) -> None:
    """Without a fixed checksum no single bit may pass."""
    result = attempt_all(sanitized, mutations.bit_flips(BASE, repair=False))
    assert result.total() == len(BASE) * 8
    assert "ran" not in result


def test_every_bit_flip_with_a_fixed_checksum(sanitized: Path) -> None:
    """Weights, biases, scales may differ and run; the rest is refused, for many different reasons."""
    result = attempt_all(sanitized, mutations.bit_flips(BASE, repair=True))
    assert result["ran"] > 0
    assert len(result) > 25


def test_every_field_at_its_limits(sanitized: Path) -> None:
    """Structure-aware: each record field at 0, 1, the ends of its type and next to its value."""
    result = attempt_all(sanitized, mutations.field_values(BASE))
    assert len(result) > 25


def test_noise(sanitized: Path) -> None:
    """Bytes that were never a file."""
    assert "ran" not in attempt_all(sanitized, mutations.random_bytes(1, 2000))


def test_damaged_data(sanitized: Path) -> None:
    """Right structure, wrong values: the verifier's proofs about weights are what protects the kernels."""
    result = attempt_all(sanitized, mutations.data_noise(BASE, 2, 4000))
    assert {"ran", "weight_padding", "padding"} <= set(result)


def test_havoc(sanitized: Path) -> None:
    """Several edits at once on models of every operator."""
    files = sorted(FOLDER.glob("*.lace"))
    edits = chain.from_iterable(mutations.havoc(path.read_bytes(), i, 60) for i, path in enumerate(files))
    assert attempt_all(sanitized, edits)["ran"] > 100


@pytest.mark.slow
def test_fields_and_bits_of_every_operator(sanitized: Path) -> None:
    """Every field of every vector; every bit of some of them: all would take an hour."""
    for i, path in enumerate(sorted(FOLDER.glob("*.lace"))):
        file = path.read_bytes()
        attempt_all(sanitized, mutations.field_values(file))
        if i % 20 == 0 and len(file) < 4096:
            attempt_all(sanitized, mutations.bit_flips(file, repair=True))
        attempt_all(sanitized, mutations.havoc(file, 1000 + i, 200))
