"""Models and sessions that the runtime's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lacewing import Session
from lacewing.format import Model, Op, Tensor
from lacewing.selftest.models import classifier, detector


def two_inputs() -> Model:
    """Plain u7 "left" and float "right", each [1, 6]; outputs "kept" (u7) and "soft" (float)."""
    tensors = [
        Tensor("left", "u7", "plain", (1, 6), 0.5, 3),
        Tensor("right", "f32", "plain", (1, 6)),
        Tensor("kept", "u7", "plain", (1, 6), 0.25, 7),
        Tensor("soft", "f32", "plain", (1, 6)),
    ]
    table = np.arange(128, dtype=np.uint8)[::-1].reshape(1, 128)
    ops = [
        Op("table", "reverse", [0], 2, {"channels": 1}, {"table": table}),
        Op("softmax", "soften", [1], 3),
    ]
    return Model(tensors, ops, [0, 1], [2, 3], {"source": "a test"})


@pytest.fixture
def pair() -> Iterator[Session]:
    """A session of ``two_inputs``."""
    with Session(two_inputs().to_bytes()) as session:
        yield session


@pytest.fixture
def pair_inputs() -> dict[str, np.ndarray]:
    """Valid inputs for ``pair``."""
    return {
        "left": np.array([[0, 1, 2, 3, 126, 127]], np.uint8),
        "right": np.array([[0, 1, -1, 2, 0.5, -3]], np.float32),
    }


@pytest.fixture(scope="session")
def classifier_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The self-test's classifier as a file."""
    path = tmp_path_factory.mktemp("models") / "classifier.lace"
    path.write_bytes(classifier().to_bytes())
    return path


@pytest.fixture(scope="session")
def detector_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The self-test's detector as a file."""
    path = tmp_path_factory.mktemp("models") / "detector.lace"
    path.write_bytes(detector().to_bytes())
    return path
