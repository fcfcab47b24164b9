"""Executed instructions per inference of Lacewing, LiteRT and onnxruntime on emulated ARM processors.

Writes the rows that docs/performance.md is generated from, and prints the ratios. Counts are of an emulator: they hold on
every machine, and say nothing about milliseconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import prepare
from x86 import VARIANTS, lace_file

from arm import loops
from arm.emulator import BUILD, CPUS, Counted, Cpu, count
from arm.names import Names, total

RUNS = 1  # counted per model: they differ by the interpreter's own few thousand instructions
LEADING = 12  # functions that a row names; the rest is one figure
PEERS = ("litert", "onnxruntime")
PACKAGES = {"litert": "ai-edge-litert", "onnxruntime": "onnxruntime"}
WIDE = [(0.5, "4x8"), (0.75, "4x8")]  # blocks as deep as i8mm's product; elsewhere they run as two of 4x4
BUILDERS = {"v1": prepare.mobilenet_v1, "v2": prepare.mobilenet_v2}

Row = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One file and how its rows describe it."""

    network: str
    runtime: str
    path: Path
    sparsity: float = 0.0
    block: str | None = None

    @property
    def label(self) -> str:
        """One line's name."""
        return (
            f"lacewing {self.sparsity:.0%} {self.block or 'dense'}"
            if self.runtime == "lacewing"
            else self.runtime
        )


def entries(network: prepare.Network, folder: Path, runtime: str, cpu: Cpu) -> list[Entry]:
    """The files of one runtime on one processor."""
    if runtime == "litert":
        return [Entry(network.name, runtime, network.tflite)]
    if runtime == "onnxruntime":
        return [Entry(network.name, runtime, network.qdq_onnx)]
    wanted = [*VARIANTS, *WIDE] if cpu.tier == "i8mm" else VARIANTS
    return [
        Entry(network.name, runtime, lace_file(network, folder, s, b), s, b if s else None) for s, b in wanted
    ]


def versions(runtime: str) -> dict[str, str]:
    """What was counted, and by what."""
    site = BUILD / "site-peers"
    on_board = {d.metadata["Name"]: d.version for d in distributions(path=[str(site)])}
    emulator = subprocess.run(
        ["qemu-aarch64", "--version"], capture_output=True, text=True, check=True
    ).stdout
    name = PACKAGES.get(runtime)
    return {runtime: on_board[name] if name else version("lacewing"), "qemu": emulator.split()[2]}


def row(entry: Entry, cpu: Cpu, counted: Counted) -> Row:
    """The result in the form of docs/data; by_function is the last run's."""
    totals = sorted(total(run) for run in counted.runs)
    functions = Names(counted.maps).by_function(counted.runs[-1])
    return {
        "model": entry.network,
        "target": cpu.target,
        "runtime": entry.runtime,
        "dtype": counted.dtype,
        "sparsity": entry.sparsity,
        "block": entry.block,
        "threads": 1,
        "metric": "instructions",
        "median": totals[len(totals) // 2],
        "min": totals[0],
        "p90": totals[-1],
        "runs": len(totals),
        "versions": versions(entry.runtime),
        "by_function": dict(functions.most_common(LEADING)),
    }


def measure(cpu: Cpu, runtime: str, found: list[Entry]) -> list[Row]:
    """The rows of one process."""
    print(f"{cpu.qemu}: {runtime}", file=sys.stderr)
    counted = count(cpu, runtime, [entry.path for entry in found], RUNS)
    expected = f"arm-{cpu.tier}"  # as the session calls it
    for entry, result in zip(found, counted, strict=True):
        if runtime == "lacewing" and result.target != expected:
            raise RuntimeError(f"{entry.path} ran as {result.target} on {cpu.qemu}, not as {expected}")
    return [row(entry, cpu, result) for entry, result in zip(found, counted, strict=True)]


def print_ratios(rows: Iterable[Row]) -> None:
    """One line per file: millions of instructions, and their share of LiteRT's."""
    rows = list(rows)
    for model, target in dict.fromkeys((r["model"], r["target"]) for r in rows):
        here = [r for r in rows if (r["model"], r["target"]) == (model, target)]
        litert = next((r["median"] for r in here if r["runtime"] == "litert"), None)
        print(f"\n{model} on {target}")
        for r in here:
            name = f"{r['runtime']} {r['sparsity']:.0%} {r['block'] or ''}" if r["block"] else r["runtime"]
            ratio = f"  x{r['median'] / litert:.3f}" if litert else ""
            print(f"  {name:24s} {r['median'] / 1e6:8.2f} M{ratio}")


def main() -> int:
    """Counts every network with every runtime on every processor."""
    parser = argparse.ArgumentParser(prog="arm", description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--networks", default="v1,v2")
    parser.add_argument("--cpus", default=",".join(cpu.tier for cpu in CPUS))
    parser.add_argument(
        "--runtimes",
        default=",".join(("lacewing", *PEERS)),
        help="rows of others stay as they are in the output: counts do not age",
    )
    args = parser.parse_args()
    folder = args.output.parent / "models"
    folder.mkdir(parents=True, exist_ok=True)
    networks = [BUILDERS[name](folder) for name in args.networks.split(",")]
    rows: list[Row] = []
    for cpu in (cpu for cpu in CPUS if cpu.tier in args.cpus.split(",")):
        for runtime in args.runtimes.split(","):
            found = [entry for network in networks for entry in entries(network, folder, runtime, cpu)]
            rows += measure(cpu, runtime, found)
    rows = merged(args.output, rows)
    document = {
        "machine": "qemu user mode",
        "date": date.today().isoformat(),
        "rows": rows,
        "modeller": loops.modeller(),
        "loops": loops.rows(),
    }
    temporary = args.output.with_suffix(".tmp")
    temporary.write_text(json.dumps(document, indent=1) + "\n")
    temporary.replace(args.output)
    print_ratios(rows)
    print(f"\n{args.output}")
    return 0


def merged(output: Path, rows: list[Row]) -> list[Row]:
    """The new rows and those of an older output that no new ones replace, in a fixed order."""

    def group(r: Row) -> tuple[str, str, str]:
        return r["model"], r["target"], r["runtime"]

    replaced = {group(r) for r in rows}
    older = json.loads(output.read_text())["rows"] if output.exists() else []
    order = [cpu.target for cpu in CPUS]
    return sorted(
        [*rows, *(r for r in older if group(r) not in replaced)],
        key=lambda r: (r["model"], order.index(r["target"]), r["runtime"], r["sparsity"], r["block"] or ""),
    )


if __name__ == "__main__":
    sys.exit(main())
