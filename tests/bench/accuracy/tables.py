"""The tables of fine-tuning in docs/sparsity.md, written from docs/data/accuracy.json."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from accuracy.cells import ablated, identity

Row = dict[str, Any]
NAMES = {
    "float": "float", "dense": "dense int8", "auto": "converter's mix", "single": "single weights", "channels": "whole channels",
}  # fmt: skip


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


def tables(document: dict[str, Any]) -> str:
    """Per network: the headline over its seeds, the comparison, the ablations; then little data."""
    rows: list[Row] = document["rows"]
    measured = (
        "Top-1 on 5,000 test images, engine (float: torch); latency on x86, one thread, of one interleaved run for all "
        "rows of a network that were measured together, and never to be compared between machines; executed instructions of one inference on emulated ARM processors, in millions; "
        "training loss before the quantized epoch: labels' and, unless a row is without teacher, its answers'. "
        "A row begins from the float network of that top-1, of which channels may have gone: compare with the float row what begins from the same."
    )
    letters = machines(rows)
    names = ", ".join(f"{letter}: {machine}" for machine, letter in letters.items())
    parts = [f"{names}; trained on {', '.join(document['trained_on'])}; {document['date']}. {measured}"]
    for model in dict.fromkeys(r["model"] for r in rows):
        for epochs in lengths(rows, model):
            how_long = epochs or document["epochs"][model]
            title = f"\n### {model}, {how_long} epochs, the last {document['quantized_epochs']} quantized\n"
            parts += [title, *_network(trained(rows, model, epochs), letters)]
    little = [r for r in rows if r["data"] != "full" and r["metric"] == "top1"]
    if little:
        parts += ["\n### 500 images without labels\n", *_little(little)]
    return "\n".join(parts)


def machines(rows: list[Row]) -> dict[str, str]:
    """{machine: its letter}, that with most rows first."""
    counted = Counter(r["machine"] for r in rows)
    return {
        machine: letter for letter, (machine, _) in zip(ascii_uppercase, counted.most_common(), strict=False)
    }


def lengths(rows: list[Row], model: str) -> list[int]:
    """How many epochs the rows of ``model`` are asked for, 0 for its own number."""
    return sorted({r["epochs"] for r in rows if r["model"] == model and r["data"] == "full"})


def trained(rows: list[Row], model: str, epochs: int) -> list[Row]:
    """The rows of ``model`` with all images that are asked for ``epochs``."""
    return [r for r in rows if (r["model"], r["data"], r["epochs"]) == (model, "full", epochs)]


def usual(rows: list[Row], block: str) -> list[Row]:
    """The top-1 of ``block``, trained as usual."""
    return [r for r in rows if r["metric"] == "top1" and r["block"] == block and not ablated(r)]


def _network(rows: list[Row], letters: dict[str, str]) -> list[str]:
    top1 = [r for r in rows if r["metric"] == "top1"]
    floats = usual(rows, "float")
    base = floats[0]["median"] if floats else None
    lines = [
        "| | asked | of all conv weights | begins from | top-1 | spread | seeds | against float | training loss | median ms | M instr. v8.0 | dotprod | bytes | equal to torch | measured |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in sorted(top1, key=_order):
        time, size = cost_of(rows, r, MILLISECONDS), _other(rows, r, "bytes", "")
        counts = " | ".join(_figure(cost_of(rows, r, cost), 2) for cost in MILLIONS.values())
        loss = _figure(statistics.median(r["loss"].values()), 3) if r.get("loss") else ""
        lost = f"{r['median'] - base:+.2f}" if base is not None and r["block"] != "float" else ""
        spread = f"{r['min']:.2f} to {r['p90']:.2f}" if r["runs"] > 1 else ""
        equal = f"{r['equal_images']} of 1000" if r["block"] != "float" else ""
        lines.append(
            f"| {label(r)} | {asked(r)} | {r['measured_sparsity']:.0%} | {r['start']:.2f} | {r['median']:.2f} | {spread} "
            f"| {r['runs']} | {lost} | {loss} | {_figure(time, 3)} | {counts} | {_figure(size, 0)} | {equal} | {r['date']} {letters[r['machine']]} |"
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
    return NAMES.get(row["block"], row["block"]) + "".join(
        [
            ", gradually" if row["gradual"] else "",
            ", taught by the finished float network" if row["taught"] else "",
            "" if row["rearrange"] else ", not rearranged",
            "" if row["distill"] else ", without teacher",
            "" if row["engine"] == "lacewing" else f", {row['engine'].upper()} quantizers",
        ]
    )


def asked(row: Row) -> str:
    """The limit that the converter was given."""
    by = f" by {row['profile']}" if row["profile"] else ""
    return f"{row['time']:.0%} of the dense time{by}" if row["time"] else f"{row['sparsity']:.0%}"


def _order(row: Row) -> tuple[bool, bool, str, bool, bool, float, str]:
    ours = row["block"] in ("float", "dense", "auto")
    equally_fast = bool(row["time"])
    return (
        ablated(row),
        equally_fast,
        row["profile"],
        not ours,
        row["block"] != "float",
        row["sparsity"],
        row["block"],
    )


def _other(rows: list[Row], row: Row, metric: str, target: str) -> float | None:
    """Another metric of the row's cell."""
    for r in rows:
        if (r["metric"], identity(r)) == (metric, identity(row)) and r["target"].startswith(target):
            found: float = r["median"]
            return found
    return None


def cost_of(rows: list[Row], row: Row, cost: Cost) -> float | None:
    """What an inference of the row's cell costs, if that was measured."""
    found = _other(rows, row, cost.metric, cost.target)
    return None if found is None else found / cost.unit


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
