"""The table of MobileNet-v2 and 500 photos in docs/sparsity.md, written from docs/data/photos.json."""

from __future__ import annotations

import math
from typing import Any

Row = dict[str, Any]  # what ``photos.run`` gives

WAYS = ("float", "plain", "trained")


def table(document: dict[str, Any]) -> str:
    """A line for each sparsity, over all photos that have judged it."""
    rows: list[Row] = document["rows"]
    made = f"{document['machine']}, {document['date']}, {rows[0]['epochs']} epochs, int8 on the engine. Lost: points of `expected`, ± the standard error."
    lines = [
        made,
        "",
        "| sparsity asked | judged by | expected: float | plain | trained | lost: plain | trained | top-1: float | plain | trained |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for sparsity in sorted({r["sparsity"] for r in rows}):
        folds = [r for r in rows if r["sparsity"] == sparsity]
        expected, top1 = ({way: mean(folds, way, key) for way in WAYS} for key in ("expected", "top1"))
        judges = f"{sum(r['judge'] for r in folds)} photos, {len(folds)} of 5 parts"
        lost = [f"{expected['float'] - expected[way]:.2f} ± {error(folds, way):.2f}" for way in WAYS[1:]]
        figures = [*(f"{expected[w]:.1f}" for w in WAYS), *lost, *(f"{top1[w]:.1f}" for w in WAYS)]
        lines.append(f"| {sparsity:.0%} | {judges} | {' | '.join(figures)} |")
    return "\n".join(lines)


def mean(folds: list[Row], way: str, key: str) -> float:
    """Over all photos that judge, percent."""
    return float(sum(r[way][key] * r["judge"] for r in folds) / sum(r["judge"] for r in folds))


def error(folds: list[Row], way: str) -> float:
    """Of the mean loss, points. From the deviations within parts: each is of another training."""
    squares = sum(r[way]["deviation"] ** 2 * r["judge"] for r in folds)
    return math.sqrt(squares) / sum(r["judge"] for r in folds)
