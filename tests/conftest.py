"""Where the downloaded models and data lie, and what becomes of tests that need them."""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need the data are skipped where there is none, and only there."""
    if DATA.is_dir():
        return
    for item in items:
        if item.get_closest_marker("needs_data"):
            item.add_marker(pytest.mark.skip(reason=f"{DATA} does not exist"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of downloaded models and data."""
    return DATA
