"""Accuracy over measured latency: ``python -m accuracy --output build/bench/accuracy.json``.

Trains every cell that has no result yet (days on two cores, hours on a GPU), measures the latency of all models of a network
in one interleaved run, and writes the rows that docs/sparsity.md is generated from. May be broken off and started again.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import torch
from x86 import machine

from accuracy.cells import NETWORKS, PARTS, Cell
from accuracy.train import EPOCHS, FOLDER, QUANTIZED_EPOCHS, result_of, run
from lacewing.bench.measure import Target, interleave
from lacewing.bench.peers import LACEWING
from lacewing.converter.output import write_atomically

Row = dict[str, Any]


def main() -> int:
    """Trains what is missing and time allows, measures, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--minutes", type=float, help="begins no training after so many")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=2.0, help="of latency measurement per model")
    parser.add_argument("--list", action="store_true", help="only says what is there and what is missing")
    args = parser.parse_args()
    wanted = [
        cell
        for part in args.parts.split(",")
        for cell in PARTS[part]()
        if cell.network in args.networks.split(",")
    ]
    wanted = list(dict.fromkeys(wanted))
    if args.list:
        for cell in wanted:
            print("done   " if result_of(cell) else "missing", cell.id)
        return 0
    started = time.monotonic()
    for number, cell in enumerate(wanted, 1):
        if result_of(cell):
            continue
        if args.minutes is not None and time.monotonic() - started > 60 * args.minutes:
            break
        print(f"[{number}/{len(wanted)}] {cell.id}", flush=True)
        result = run(cell, args.device)
        print(f"  top-1 {result['top1']:.2f} % in {result['seconds']} s", flush=True)
    rows = [row for network in NETWORKS for row in _rows(network, args.seconds)]
    document = {
        "machine": f"{machine()}; trained on {', '.join(sorted({r['device'] for r in rows if 'device' in r}))}",
        "date": date.today().isoformat(),
        "epochs": EPOCHS,
        "quantized_epochs": QUANTIZED_EPOCHS,
        "rows": rows,
    }
    write_atomically(args.output, (json.dumps(document, indent=1) + "\n").encode())
    print(args.output)
    return 0


def _rows(network: str, seconds: float) -> list[Row]:
    """Accuracy rows of every finished cell of ``network``, over its seeds, and one latency row per kind of cell."""
    cells = [Cell(**json.loads(p.read_text())["cell"]) for p in sorted(FOLDER.glob(f"{network}-*.json"))]
    results = [result for cell in cells if (result := result_of(cell)) is not None]
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        cell = asdict(Cell(**result["cell"]))  # a result may be older than a field
        groups[json.dumps({k: v for k, v in cell.items() if k != "seed"})].append(result)
    rows: list[Row] = []
    timed: list[tuple[Row, Target]] = []
    for key, members in groups.items():
        cell = json.loads(key)
        top1 = [m["top1"] for m in members]
        common = {
            "model": network,
            "runtime": "float" if cell["method"] == "float" else "lacewing",
            "dtype": "fp32" if cell["method"] == "float" else "int8",
            "sparsity": cell["sparsity"],
            "block": cell["method"],
            "threads": 1,
            "device": members[0]["device"],
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            **{k: cell[k] for k in ("rearrange", "distill", "engine", "data", "time")},
        }
        rows.append(
            common
            | {
                "target": "torch" if cell["method"] == "float" else "x86",
                "metric": "top1",
                "median": statistics.median(top1),
                "min": min(top1),
                "p90": max(top1),
                "runs": len(top1),
                "start": members[0]["start"],
                "seeds": sorted(m["cell"]["seed"] for m in members),
                "measured_sparsity": members[0].get("sparsity", 0.0),
                "equal_images": min(m.get("equal_images", 0) for m in members),
                "seconds": statistics.median(m["seconds"] for m in members),
            }
        )
        first = min(members, key=lambda m: m["cell"]["seed"])
        file = FOLDER / f"{Cell(**first['cell']).id}.lace"
        if file.exists():
            size = file.stat().st_size
            rows.append(common | {"metric": "bytes", "median": size, "min": size, "p90": size, "runs": 1})
            timed.append((common, Target(LACEWING, file, 1)))
    if timed:
        interleave([t for _, t in timed], 10, seconds)
    for common, target in timed:
        measured = {"median": target.median(), "min": target.least(), "p90": target.percentile(0.9)}
        rows.append(
            common
            | {
                "target": target.open().target,
                "metric": "latency_ms",
                **measured,
                "runs": len(target.seconds),
            }
        )
    return rows


if __name__ == "__main__":
    sys.exit(main())
