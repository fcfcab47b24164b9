"""The fine-tuning part of docs/sparsity.md and its pictures, written from docs/data/accuracy.json."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from accuracy.cells import ablated, identity

Row = dict[str, Any]
NAMES = {"float": "float", "dense": "dense int8", "auto": "converter's mix", "single": "single weights"}
COLOURS = {
    "auto": "#2d8a6b", "1x4": "#c47f2c", "2x4": "#8b6bb5", "4x4": "#3b76b0", "8x4": "#7a8a2e",
    "single": "#b04a4a", "2:4": "#b06aa0", "channels": "#70797b", "dense": "#1b2a2f",
}  # fmt: skip
WIDTH, HEIGHT, LEFT, BOTTOM, RIGHT, TOP = 760, 420, 60, 50, 150, 40


@dataclass(frozen=True)
class Cost:
    """What a picture draws accuracy over."""

    name: str  # of the picture's file
    metric: str
    target: str
    unit: float
    title: str


MILLISECONDS = Cost("x86", "latency_ms", "x86", 1.0, "median latency on x86, ms")
MILLIONS = {
    tier: Cost(tier, "instructions", f"arm-{tier}", 1e6, f"executed instructions on ARM {tier}, millions")
    for tier in ("armv8.0", "dotprod")
}
PICTURES = (MILLISECONDS, MILLIONS["dotprod"])


def tables(document: dict[str, Any]) -> str:
    """Per network: the headline over its seeds, the comparison, the ablations; then little data."""
    rows: list[Row] = document["rows"]
    measured = (
        "Top-1 on 5,000 test images, engine (float: torch); latency on x86, one thread, of one interleaved run for all "
        "rows of a network that were measured together; executed instructions of one inference on emulated ARM processors, in millions; "
        "training loss before the quantized epoch: labels' and, unless a row is without teacher, its answers'."
    )
    parts = [f"{document['machine']}; {document['date']}. {measured}"]
    for model in dict.fromkeys(r["model"] for r in rows):
        for epochs in _lengths(rows, model):
            how_long = epochs or document["epochs"][model]
            title = f"\n### {model}, {how_long} epochs, the last {document['quantized_epochs']} quantized\n"
            parts += [title, *_network(_trained(rows, model, epochs))]
    little = [r for r in rows if r["data"] != "full" and r["metric"] == "top1"]
    if little:
        parts += ["\n### 500 images without labels\n", *_little(little)]
    return "\n".join(parts)


def _lengths(rows: list[Row], model: str) -> list[int]:
    """How many epochs the rows of ``model`` are asked for, 0 for its own number."""
    return sorted({r["epochs"] for r in rows if r["model"] == model and r["data"] == "full"})


def _trained(rows: list[Row], model: str, epochs: int) -> list[Row]:
    return [r for r in rows if (r["model"], r["data"], r["epochs"]) == (model, "full", epochs)]


def _network(rows: list[Row]) -> list[str]:
    top1 = [r for r in rows if r["metric"] == "top1"]
    floats = [r for r in top1 if r["block"] == "float"]
    base = floats[0]["median"] if floats else None
    lines = [
        "| | asked | of all conv weights | top-1 | spread | seeds | against float | training loss | median ms | M instr. v8.0 | dotprod | bytes | equal to torch | measured |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in sorted(top1, key=_order):
        time, size = _cost(rows, r, MILLISECONDS), _other(rows, r, "bytes", "")
        counts = " | ".join(_figure(_cost(rows, r, cost), 2) for cost in MILLIONS.values())
        loss = _figure(statistics.median(r["loss"].values()), 3) if r.get("loss") else ""
        lost = f"{r['median'] - base:+.2f}" if base is not None and r["block"] != "float" else ""
        spread = f"{r['min']:.2f} to {r['p90']:.2f}" if r["runs"] > 1 else ""
        equal = f"{r['equal_images']} of 1000" if r["block"] != "float" else ""
        lines.append(
            f"| {label(r)} | {asked(r)} | {r['measured_sparsity']:.0%} | {r['median']:.2f} | {spread} "
            f"| {r['runs']} | {lost} | {loss} | {_figure(time, 3)} | {counts} | {_figure(size, 0)} | {equal} | {r['date']} |"
        )
    return lines


def _little(rows: list[Row]) -> list[str]:
    lines = [
        "| | sparsity asked | top-1 | published float network | lost | seconds |",
        "|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {r['model']}, {label(r)}{', not trained' if r['data'] == 'plain' else ''} | {r['sparsity']:.0%} | {r['median']:.2f} | {r['start']:.2f} | {r['start'] - r['median']:.2f} "
        f"| {r['seconds']:.0f} |"
        for r in sorted(rows, key=_order)
    ]


def label(row: Row) -> str:
    """What a reader calls the row."""
    name = NAMES.get(row["block"], row["block"])
    if row["block"] == "channels":
        name = "whole channels"
    return name + "".join(
        [
            ", gradually" if row["gradual"] else "",
            "" if row["rearrange"] else ", not rearranged",
            "" if row["distill"] else ", without teacher",
            "" if row["engine"] == "lacewing" else f", {row['engine'].upper()} quantizers",
        ]
    )


def asked(row: Row) -> str:
    """The limit that the converter was given."""
    return f"{row['time']:.0%} of the dense time" if row["time"] else f"{row['sparsity']:.0%}"


def _order(row: Row) -> tuple[bool, bool, bool, bool, float, str]:
    ours = row["block"] in ("float", "dense", "auto")
    equally_fast = bool(row["time"])
    return (ablated(row), equally_fast, not ours, row["block"] != "float", row["sparsity"], row["block"])


def _other(rows: list[Row], row: Row, metric: str, target: str) -> float | None:
    """Another metric of the row's cell."""
    for r in rows:
        if (r["metric"], identity(r)) == (metric, identity(row)) and r["target"].startswith(target):
            found: float = r["median"]
            return found
    return None


def _cost(rows: list[Row], row: Row, cost: Cost) -> float | None:
    found = _other(rows, row, cost.metric, cost.target)
    return None if found is None else found / cost.unit


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def pictures(document: dict[str, Any]) -> dict[str, str]:
    """{file name: picture} of every network, length of training and cost; where fewer than two files were measured there is
    nothing to see."""
    rows: list[Row] = document["rows"]
    found = {}
    for model in dict.fromkeys(r["model"] for r in rows):
        for epochs in _lengths(rows, model):
            mine, length = _trained(rows, model, epochs), f"_{epochs}_epochs" if epochs else ""
            for cost in PICTURES:
                if sum(r["metric"] == cost.metric and r["target"].startswith(cost.target) for r in mine) > 1:
                    title = f"{model}{length.replace('_', ' ')}: top-1 % over {cost.title}"
                    found[f"accuracy_{model}{length}_{cost.name}.svg"] = picture(mine, title, cost)
    return found


def picture(rows: list[Row], title: str, cost: Cost) -> str:
    """Accuracy of ``rows`` over ``cost``: a line per pattern, up and left is better."""
    points, rings = _points(rows, cost, timed=False), _points(rows, cost, timed=True)
    floats = [r["median"] for r in rows if r["metric"] == "top1" and r["block"] == "float"]
    both = [point for line in (*points.values(), *rings.values()) for point in line]
    xs, ys = [x for x, _ in both], [y for _, y in both] + floats
    x_most, y_least, y_most = max(xs) * 1.05, min(ys) - 0.5, max(ys) + 0.5

    def at(x: float, y: float) -> tuple[float, float]:
        width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        return LEFT + width * x / x_most, TOP + height * (y_most - y) / (y_most - y_least)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>',
        *_axes(at, x_most, y_least, y_most),
    ]
    for value in floats:
        x, y = at(x_most, value)
        out.append(
            f'<line x1="{LEFT}" y1="{y:.1f}" x2="{x:.1f}" y2="{y:.1f}" stroke="#1b2a2f" stroke-dasharray="4 4"/>'
        )
        out.append(f'<text x="{LEFT + 6}" y="{y - 6:.1f}">float</text>')
    for i, name in enumerate(dict.fromkeys((*points, *rings))):
        out += _line(name, [at(*p) for p in points.get(name, [])], TOP + 40 + 20 * i)
        out += [_ring(COLOURS[name], *at(*p)) for p in rings.get(name, [])]
    if rings:
        x, y = WIDTH - RIGHT + 16, HEIGHT - BOTTOM
        out += [_ring("#1b2a2f", x, y), f'<text x="{x + 10}" y="{y + 4}">a time asked</text>']
    return "\n".join([*out, "</svg>", ""])


def _points(rows: list[Row], cost: Cost, timed: bool) -> dict[str, list[tuple[float, float]]]:
    """Per pattern (cost, top-1); ``timed``: of the rows that were asked for a time, not for a sparsity."""
    plain = [r for r in rows if r["metric"] == "top1" and not ablated(r) and bool(r["time"]) == timed]
    points: dict[str, list[tuple[float, float]]] = {}
    for name in COLOURS:
        found = [(_cost(rows, r, cost), r["median"]) for r in plain if r["block"] == name]
        line = sorted((x, y) for x, y in found if x is not None)
        if line:
            points[name] = line
    return points


def _axes(at: Any, x_most: float, y_least: float, y_most: float) -> list[str]:
    out = []
    for i in range(6):
        x, y = x_most * i / 5, y_least + (y_most - y_least) * i / 5
        px, bottom = at(x, y_least)
        left, py = at(0, y)
        out.append(f'<line x1="{px:.1f}" y1="{TOP}" x2="{px:.1f}" y2="{bottom:.1f}" stroke="#e3e8e8"/>')
        out.append(
            f'<line x1="{left:.1f}" y1="{py:.1f}" x2="{at(x_most, 0)[0]:.1f}" y2="{py:.1f}" stroke="#e3e8e8"/>'
        )
        out.append(f'<text x="{px:.1f}" y="{bottom + 20:.1f}" text-anchor="middle">{x:.2f}</text>')
        out.append(f'<text x="{left - 8:.1f}" y="{py + 4:.1f}" text-anchor="end">{y:.1f}</text>')
    return out


def _ring(colour: str, x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="#ffffff" stroke="{colour}" stroke-width="2"/>'


def _line(name: str, points: list[tuple[float, float]], legend: int) -> list[str]:
    colour = COLOURS[name]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    out = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in points]
    text = escape(NAMES.get(name, "whole channels" if name == "channels" else name))
    x = WIDTH - RIGHT + 16
    return [
        *out,
        f'<circle cx="{x}" cy="{legend}" r="4" fill="{colour}"/>',
        f'<text x="{x + 10}" y="{legend + 4}">{text}</text>',
    ]
