"""Accuracy over measured latency: ``python -m accuracy --output build/bench/accuracy.json``.

Trains every cell that has no result yet (days on two cores, hours on a GPU), measures the latency of all models of a network
in one interleaved run and their instructions on emulated ARM processors, and writes the rows that docs/sparsity.md is
generated from. May be broken off and started again; rows of cells that have no result here stay as they are in the output.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import date
from pathlib import Path

import torch
from machine import machine

from accuracy.cells import NETWORKS, PARTS
from accuracy.rows import merged, rows_of
from accuracy.train import EPOCHS, QUANTIZED_EPOCHS, result_of, run
from lacewing.converter.output import write_atomically


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
    rows = [row for network in NETWORKS for row in rows_of(network, args.seconds, machine())]
    older = json.loads(args.output.read_text())["rows"] if args.output.exists() else []
    rows = sorted(merged(rows, older), key=lambda r: NETWORKS.index(r["model"]))
    document = {
        "trained_on": sorted({r["device"] for r in rows}),
        "date": date.today().isoformat(),
        "epochs": EPOCHS,
        "quantized_epochs": QUANTIZED_EPOCHS,
        "rows": rows,
    }
    write_atomically(args.output, (json.dumps(document, indent=1) + "\n").encode())
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
