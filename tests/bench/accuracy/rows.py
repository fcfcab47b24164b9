"""What a finished training adds to docs/data/accuracy.json: a row for its accuracy, its file, its time on each machine."""

from __future__ import annotations

import json
import platform
import statistics
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from arm.emulator import CPUS, count
from arm.names import total

from accuracy.cells import Cell, described, identity
from accuracy.train import FOLDER, result_of
from lacewing.bench.measure import Target, interleave
from lacewing.bench.peers import LACEWING

WARM_UP = 10  # runs of each file before times count

Row = dict[str, Any]
Result = dict[str, Any]  # what ``train.run`` writes


def rows_of(network: str, seconds: float, machine: str) -> list[Row]:
    """The rows of every finished cell of ``network``; all of its files are timed in one interleaved run, on ``machine``."""
    cells = [Cell(**json.loads(p.read_text())["cell"]) for p in sorted(FOLDER.glob(f"{network}-*.json"))]
    groups: dict[tuple[Any, ...], list[Result]] = defaultdict(list)
    for result in (found for cell in cells if (found := result_of(cell)) is not None):
        groups[identity(_common(result))].append(result)
    leaders = [min(members, key=lambda m: m["cell"]["seed"]) for members in groups.values()]
    files = {_file(result): _common(result) for result in leaders if _file(result).exists()}
    rows = [
        *(_top1(members) for members in groups.values()),
        *(common | _once("bytes", "", path.stat().st_size) for path, common in files.items()),
        *_milliseconds(files, seconds),
        *_instructions(files),
    ]
    run = {"date": datetime.now().isoformat(" ", "minutes"), "machine": machine}
    return [row | run for row in rows]


def merged(rows: list[Row], older: Iterable[Row]) -> list[Row]:
    """``rows`` and the older ones of cells that they lack; an older row's other seeds join the new one's if trained alike.

    Alike is by the same recipe and from the same network: 88.3 and 87.9 % to begin with differ more than two seeds do.
    """
    new = {identity(row): row for row in rows if row["metric"] == "top1"}
    kept = []
    for row in older:
        if identity(row) not in new:
            kept.append(row)
        elif row["metric"] == "top1" and _training(row) == _training(new[identity(row)]):
            joined = new[identity(row)]
            joined |= _spread(row["by_seed"] | joined["by_seed"])
            joined["loss"] = row.get("loss", {}) | joined["loss"]
    return [*kept, *rows]


def _training(row: Row) -> tuple[Any, ...]:
    return row.get("recipe"), row["start"]


def _common(result: Result) -> Row:
    is_float = result["cell"]["method"] == "float"
    return described(Cell(**result["cell"])) | {
        "runtime": "float" if is_float else "lacewing",
        "dtype": "fp32" if is_float else "int8",
        "threads": 1,
        "device": result["device"],
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


def _top1(members: list[Result]) -> Row:
    return _common(members[0]) | {
        "target": "torch" if members[0]["cell"]["method"] == "float" else "x86",
        "metric": "top1",
        "recipe": members[0]["recipe"],
        **_spread({str(m["cell"]["seed"]): m["top1"] for m in members}),
        "start": members[0]["start"],
        "measured_sparsity": members[0].get("sparsity", 0.0),
        "loss": {str(m["cell"]["seed"]): loss for m in members if (loss := _loss(m)) is not None},
        "equal_images": min(m.get("equal_images", 0) for m in members),
        "seconds": statistics.median(m["seconds"] for m in members),
    }


def _loss(result: Result) -> float | None:
    """On the training images, in the last epoch before the quantized ones."""
    epochs = result.get("history", {}).get("float", [])
    return float(epochs[-1]["loss"]) if epochs else None


def _spread(by_seed: dict[str, float]) -> Row:
    top1 = by_seed.values()
    summary = {"median": statistics.median(top1), "min": min(top1), "p90": max(top1), "runs": len(top1)}
    return {"by_seed": dict(sorted(by_seed.items())), **summary}


def _file(result: Result) -> Path:
    return FOLDER / f"{Cell(**result['cell']).id}.lace"


def _once(metric: str, target: str, value: float) -> Row:
    return {"target": target, "metric": metric, "median": value, "min": value, "p90": value, "runs": 1}


def _milliseconds(files: dict[Path, Row], seconds: float) -> list[Row]:
    targets = {path: Target(LACEWING, path, 1) for path in files}
    if targets:
        interleave(list(targets.values()), WARM_UP, seconds)
    return [
        files[path]
        | {
            "target": target.open().target,
            "metric": "latency_ms",
            "median": target.median(),
            "min": target.least(),
            "p90": target.percentile(0.9),
            "runs": len(target.seconds),
        }
        for path, target in targets.items()
    ]


def _instructions(files: dict[Path, Row]) -> list[Row]:
    """Executed instructions of one inference on every emulated ARM processor."""
    found: list[Row] = []
    for cpu in CPUS if files else ():
        counted = count(cpu, "lacewing", list(files))
        for common, result in zip(files.values(), counted, strict=True):
            found.append(common | _once("instructions", cpu.target, total(result.runs[-1])))
    return found
