"""Lacewing against onnxruntime-web and LiteRT.js in headless Chromium: one interleaved page a network and thread count.

Writes the rows that docs/performance.md is generated from, and prints the ratios. The browser part is drive.ts.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import networks
import prepare
from machine import machine
from x86 import lace_file

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
WEB = ROOT / "runtime" / "web"
BACKENDS = {
    "relaxed-simd": "wasm-relaxed",
    "simd128": "wasm-simd128",
}  # the package's names, the rows' targets
# (backend, sparsity, block) of ours; 0 is dense
VARIANTS = [("relaxed-simd", s, b) for s, b in ((0.0, "4x4"), (0.5, "4x4"), (0.75, "4x4"), (0.75, "2x4"))]
VARIANTS += [("simd128", s, b) for s, b in ((0.0, "4x4"), (0.75, "4x4"))]
PACKAGES = {"lacewing": "lacewing", "onnxruntime-web": "onnxruntime-web", "litert-js": "@litertjs/core"}
BROWSERS = 3  # that share the rounds of a group
NCHW, NHWC = [1, 3, 224, 224], [1, 224, 224, 3]


@dataclass(frozen=True)
class Entry:
    """One measured file and how its rows describe it."""

    network: str
    runtime: str
    path: Path
    threads: int
    dtype: str = "int8"
    sparsity: float = 0.0
    block: str | None = None
    backend: str | None = None

    def target(self, number: int) -> dict[str, Any]:
        """What the page is told: types.ts."""
        unsigned = self.runtime == "litert-js"
        return {
            "id": f"{number}",
            "runtime": self.runtime,
            "url": f"/models/{self.path.name}",
            "dtype": "uint8" if unsigned else "float32",
            "dims": NHWC if unsigned else NCHW,
            "threads": self.threads,
        } | ({"backend": self.backend} if self.backend else {})

    @property
    def label(self) -> str:
        """One line's name."""
        variant = (
            f" {self.backend} {self.sparsity:.0%} {self.block or ''}" if self.backend else f" {self.dtype}"
        )
        return self.runtime + variant


def entries(network: prepare.Network, tflite: Path, folder: Path, threads: int, ours: bool) -> list[Entry]:
    """Every variant of ours and every peer's file."""
    found = [
        Entry(network.name, "litert-js", tflite, threads),
        Entry(network.name, "onnxruntime-web", network.qdq_onnx, threads),
        Entry(network.name, "onnxruntime-web", network.float_onnx, threads, "fp32"),
    ]
    if ours:
        found += [
            Entry(
                network.name,
                "lacewing",
                lace_file(network, folder, s, b),
                threads,
                "int8",
                s,
                b if s else None,
                k,
            )
            for k, s, b in VARIANTS
        ]
    return found


def tflite_file(network: prepare.Network, folder: Path) -> Path:
    """The network's TFLite file with unsigned input and output, which LiteRT.js needs, in ``folder``."""
    path = folder / f"{network.name}_unsigned.tflite"
    if not path.exists():
        if network.name.startswith("mobilenet_v1"):
            networks.mobilenet_v1_tflite(path, unsigned=True)
        else:
            shutil.copyfile(network.tflite, path)
    return path


def measure(groups: list[list[Entry]], args: argparse.Namespace) -> dict[str, Any]:
    """Runs drive.ts on the groups."""
    plan = {
        "chromium": args.chromium,
        "lacewing": str(WEB / "dist"),
        "modules": str(HERE / "node_modules"),
        "models": str(args.output.parent.resolve() / "models"),
        "warmMs": 1200,
        "browsers": BROWSERS,
        "rounds": math.ceil(args.rounds / BROWSERS),
        "sliceMs": args.seconds * 1e3 / args.rounds,
        "starts": args.starts,
        "groups": [[entry.target(i) for i, entry in enumerate(group)] for group in groups],
    }
    plan_file = args.output.with_suffix(".plan")
    result_file = args.output.with_suffix(".result")
    plan_file.write_text(json.dumps(plan, indent=1))
    node = HERE / "node_modules" / ".bin" / "node"  # runs TypeScript; an older one of the machine may not
    flags = ["--disable-warning=ExperimentalWarning"]  # type stripping
    subprocess.run([node, *flags, HERE / "drive.ts", plan_file, result_file], check=True)
    result: dict[str, Any] = json.loads(result_file.read_text())
    return result


def rows(entry: Entry, result: dict[str, Any], versions: dict[str, str]) -> list[dict[str, Any]]:
    """The entry's results in the form of docs/data."""
    common = {
        "model": entry.network,
        "target": BACKENDS.get(entry.backend or "", "wasm-own-choice"),
        "runtime": entry.runtime,
        "dtype": entry.dtype,
        "sparsity": entry.sparsity,
        "block": entry.block,
        "threads": entry.threads,
        "versions": versions,
    }
    values = {
        "latency_ms": result["times"],
        "first_ms": [start["first"] for start in result["starts"]],
        "load_ms": [start["load"] for start in result["starts"]],
        "peak_bytes": result["peaks"],
        "bytes": [entry.path.stat().st_size],
        "runtime_bytes": [result["runtimeBytes"]],
        "runtime_brotli_bytes": [result["runtimeBrotliBytes"]],
    }
    return [common | {"metric": metric, **summary(list(numbers))} for metric, numbers in values.items()]


def summary(numbers: list[float]) -> dict[str, float]:
    """Median, least, ninth decile and count."""
    ordered = sorted(numbers)
    p90 = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    return {"median": statistics.median(ordered), "min": ordered[0], "p90": p90, "runs": len(ordered)}


def print_table(group: list[Entry], results: list[dict[str, Any]]) -> None:
    """One line per file: medians, and how many times faster than LiteRT.js."""
    medians = [statistics.median(r["times"]) for r in results]
    loads = [statistics.median(start["load"] for start in r["starts"]) for r in results]
    base, base_load = next(
        both for e, *both in zip(group, medians, loads, strict=True) if e.runtime == "litert-js"
    )
    print(f"\n{group[0].network}, {group[0].threads} thread(s); ratios to LiteRT.js int8")
    for entry, result, median, load in zip(group, results, medians, loads, strict=True):
        first = statistics.median(start["first"] for start in result["starts"])
        peak = statistics.median(result["peaks"])
        print(
            f"  {entry.label:34s} median {median:7.2f} ms  min {min(result['times']):7.2f}  x{base / median:.2f}"
            f"  first result {first:7.1f} ms, after the script {load:7.1f} = {load / base_load:.3f}"
            f"  memory {peak / 1e6:6.1f} MB  class {result['starts'][0]['answer']['index']}"
        )


def versions(chromium: str) -> dict[str, str]:
    """Of the browser and of every runtime."""
    found = {"chromium": chromium}
    for runtime, package in PACKAGES.items():
        folder = WEB if runtime == "lacewing" else HERE / "node_modules" / package
        if (folder / "package.json").exists():
            found[runtime] = json.loads((folder / "package.json").read_text())["version"]
    return found


def main() -> int:
    """Measures every network at one and two threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=2.5, help="per file and thread count")
    parser.add_argument("--rounds", type=int, default=21, help="of all browsers")
    parser.add_argument("--starts", type=int, default=7, help="fresh browsers per file and thread count")
    parser.add_argument("--networks", default="v1,v2")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--peers-only", action="store_true")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "/usr/bin/chromium")
    args = parser.parse_args()
    folder = args.output.parent / "models"
    folder.mkdir(parents=True, exist_ok=True)
    builders = {"v1": prepare.mobilenet_v1, "v2": prepare.mobilenet_v2}
    groups = [
        entries(network, tflite_file(network, folder), folder, int(threads), not args.peers_only)
        for network in (builders[name](folder) for name in args.networks.split(","))
        for threads in args.threads.split(",")
    ]
    measured = measure(groups, args)
    results = iter(measured["results"])
    found = versions(measured["chromium"])
    document: list[dict[str, Any]] = []
    for group in groups:
        own = [next(results) for _ in group]
        print_table(group, own)
        for entry, result in zip(group, own, strict=True):
            document += rows(entry, result, {k: found[k] for k in ("chromium", entry.runtime)})
    content = {"machine": machine(), "date": date.today().isoformat(), "rows": document}
    temporary = args.output.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    temporary.replace(args.output)
    print(f"\n{args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
