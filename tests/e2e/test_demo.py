"""The demo's promise: 75 % of the weights gone, and within a point of float."""

from __future__ import annotations

import pytest

from lacewing.converter.demo.run import run
from lacewing.converter.progress import silent


@pytest.mark.slow
def test_every_model_of_the_demo_is_within_a_point_of_float(tmp_path):
    rows = run(tmp_path, silent, 0)
    assert any("75%" in row.name for row in rows)
    for row in rows:
        assert row.drop <= 1.0, [(r.name, r.accuracy) for r in rows]
