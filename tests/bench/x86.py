"""Lacewing against onnxruntime, OpenVINO, LiteRT and MNN on this x86 machine: one interleaved run a network and thread count.

Writes the rows that docs/performance.md is generated from, and prints the ratios against the best peer. The first
call converts the models (minutes); the files stay in build/bench/models.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import prepare
from machine import machine

from lacewing.bench.measure import Target, interleave, probe
from lacewing.bench.peers import LACEWING, PEERS
from lacewing.converter.convert import convert
from lacewing.converter.options import ConvertOptions

# (sparsity, block) of the .lace files; 0 is dense
VARIANTS = ((0.0, "4x4"), (0.3, "4x4"), (0.5, "4x4"), (0.5, "2x4"), (0.75, "4x4"), (0.75, "2x4"))


@dataclass(frozen=True)
class Entry:
    """One measured file and how its rows describe it."""

    target: Target
    sparsity: float
    block: str | None


def lace_file(network: prepare.Network, folder: Path, sparsity: float, block: str) -> Path:
    """The network at one sparsity and block size, converted when it is not there yet."""
    path = folder / f"{network.name}_{round(sparsity * 100)}_{block}.lace"
    if not path.exists():
        print(f"converting {path.name}", file=sys.stderr)
        options = ConvertOptions(
            calibration=network.calibration, sparsity=sparsity, block=block, budget="uniform"
        )
        convert(network.float_onnx, path, options)
    return path


def entries(network: prepare.Network, folder: Path, threads: int) -> list[Entry]:
    """Every variant of ours and every peer, the peers' int8 and the float files."""
    ours = [
        Entry(Target(LACEWING, lace_file(network, folder, s, b), threads), s, b if s else None)
        for s, b in VARIANTS
    ]
    files = [
        ("onnxruntime", network.float_onnx),
        ("onnxruntime", network.qdq_onnx),
        ("openvino", network.float_onnx),
        ("openvino", network.qdq_onnx),
        ("litert", network.tflite),
        ("mnn", network.float_onnx),
    ]
    return ours + [Entry(Target(PEERS[name], path, threads), 0.0, None) for name, path in files]


def rows(network: prepare.Network, entry: Entry) -> list[dict[str, Any]]:
    """The entry's results in the form of docs/data."""
    target = entry.target
    runner = target.open()
    common = {
        "model": network.name,
        "target": runner.target,
        "runtime": target.peer.name,
        "dtype": runner.dtype,
        "sparsity": entry.sparsity,
        "block": entry.block,
        "threads": target.threads,
        "versions": {"python": platform.python_version(), target.peer.name: target.peer.version()},
    }
    latency = {"median": target.median(), "min": target.least(), "p90": target.percentile(0.9)}
    out = [common | {"metric": "latency_ms", **latency, "runs": len(target.seconds)}]
    for metric in ("first_ms", "init_ms", "peak_bytes"):
        value = target.probe[metric]
        out.append(common | {"metric": metric, "median": value, "min": value, "p90": value, "runs": 1})
    size = target.path.stat().st_size
    return [*out, common | {"metric": "bytes", "median": size, "min": size, "p90": size, "runs": 1}]


def print_ratios(network: prepare.Network, measured: list[Entry], threads: int) -> None:
    """One line per file: median, and how many times faster than the best int8 peer."""
    peers = [e.target for e in measured if e.target.peer is not LACEWING and e.target.open().dtype == "int8"]
    best = min(peers, key=Target.median)
    print(f"\n{network.name}, {threads} thread(s); best int8 peer: {best.peer.name} {best.peer.version()}")
    for entry in measured:
        target = entry.target
        name = f"{target.peer.name} {target.open().dtype}" + (f" {entry.sparsity:.0%}" if entry.block else "")
        block = entry.block or ""
        ratio = best.median() / target.median()
        print(
            f"  {name:24s} {block:4s} median {target.median():7.2f} ms  min {target.least():7.2f}  x{ratio:.2f}"
        )


def main() -> int:
    """Measures every network at one and two threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=4.0, help="per file and thread count")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--networks", default="v1,v2")
    parser.add_argument("--threads", default="1,2")
    args = parser.parse_args()
    folder = args.output.parent / "models"
    folder.mkdir(parents=True, exist_ok=True)
    builders = {"v1": prepare.mobilenet_v1, "v2": prepare.mobilenet_v2}
    results: list[dict[str, Any]] = []
    for network in (builders[name](folder) for name in args.networks.split(",")):
        for threads in (int(n) for n in args.threads.split(",")):
            measured = entries(network, folder, threads)
            for entry in measured:
                target = entry.target
                target.file = target.peer.prepare(target.path, folder)
                probe(target)
            interleave([entry.target for entry in measured], args.rounds, args.seconds)
            print_ratios(network, measured, threads)
            results += [row for entry in measured for row in rows(network, entry)]
    document = {"machine": machine(), "date": date.today().isoformat(), "rows": results}
    temporary = args.output.with_suffix(".tmp")
    temporary.write_text(json.dumps(document, indent=1) + "\n")
    temporary.replace(args.output)
    print(f"\n{args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
