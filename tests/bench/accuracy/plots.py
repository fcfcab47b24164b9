"""The pictures of docs/sparsity.md: accuracy over what an inference costs, written from docs/data/accuracy.json."""

from __future__ import annotations

from typing import Any

from drawing import INK, OURS, drawing, svg
from matplotlib.axes import Axes

from accuracy.tables import (
    MILLIONS,
    MILLISECONDS,
    NAMES,
    Cost,
    Row,
    cost_of,
    lengths,
    machines,
    trained,
    usual,
)

PICTURES = (MILLISECONDS, MILLIONS["dotprod"])
# In the order in which they are drawn.
COLOURS = {
    "auto": OURS, "1x4": "#c47f2c", "2x4": "#8b6bb5", "4x4": "#3b76b0", "8x4": "#7a8a2e",
    "single": "#b04a4a", "2:4": "#b06aa0", "channels": "#70797b", "dense": INK,
}  # fmt: skip


def pictures(document: dict[str, Any]) -> dict[str, str]:
    """{file name: SVG} of every network, length of training and cost; where fewer than two files were measured there is
    nothing to see."""
    rows: list[Row] = document["rows"]
    found = {}
    for model in dict.fromkeys(r["model"] for r in rows):
        for epochs in lengths(rows, model):
            mine, length = trained(rows, model, epochs), f"_{epochs}_epochs" if epochs else ""
            for cost in PICTURES:
                shown = one_machine(mine, cost)
                if sum(r["metric"] == cost.metric and r["target"].startswith(cost.target) for r in shown) > 1:
                    title = f"{model}, {epochs or document['epochs'][model]} epochs: top-1, int8"
                    found[f"accuracy_{model}{length}_{cost.name}.svg"] = picture(shown, title, cost)
    return found


def one_machine(rows: list[Row], cost: Cost) -> list[Row]:
    """``rows`` without times of any machine but the one that measured most: times of two machines share no axis."""
    if cost != MILLISECONDS:
        return rows
    times = [r for r in rows if r["metric"] == cost.metric]
    kept = next(iter(machines(times)), None)
    return [r for r in rows if r["metric"] != cost.metric or r["machine"] == kept]


def picture(rows: list[Row], title: str, cost: Cost) -> str:
    """Accuracy of ``rows`` over ``cost``: a line per pattern through the sparsities asked, up and left is better.

    Bars reach from the worst seed to the best one.
    """
    with drawing() as figure:
        axes = figure.add_subplot(title=title, xlabel=cost.title, ylabel="top-1, %")
        for pattern in COLOURS:
            _draw(axes, pattern, rows, cost)
        if any(r["time"] for r in rows):
            axes.plot([], [], "o", color=INK, markerfacecolor="white", label="hollow: a time asked")
        for row in usual(rows, "float"):
            axes.axhline(row["median"], color=INK, linestyle="--", linewidth=1, label="float")
        axes.margins(0.08, 0.1)
        figure.legend(loc="outside right upper", frameon=False)
        return svg(figure)


def _draw(axes: Axes, pattern: str, rows: list[Row], cost: Cost) -> None:
    """The rows of one pattern; hollow where a time was asked, not a sparsity."""
    placed = [(x, r) for r in usual(rows, pattern) if (x := cost_of(rows, r, cost)) is not None]
    named = False
    for timed in (False, True):
        points = sorted((p for p in placed if bool(p[1]["time"]) == timed), key=lambda p: p[0])
        if not points:
            continue
        axes.errorbar(
            [x for x, _ in points],
            [r["median"] for _, r in points],
            [[abs(r["median"] - r[end]) for _, r in points] for end in ("min", "p90")],
            fmt="o" if timed else "o-",
            color=COLOURS[pattern],
            markerfacecolor="white" if timed else None,
            label=None if named else NAMES.get(pattern, pattern),
        )
        named = True
        for x, r in points:
            if r["sparsity"]:
                where = {"xytext": (5, -11), "textcoords": "offset points", "fontsize": 8}
                axes.annotate(f"{r['sparsity']:.0%}", (x, r["median"]), **where)
