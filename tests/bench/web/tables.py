"""The browser part of docs/performance.md, written from docs/data/web.json."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
NAMES = {"onnxruntime-web": "onnxruntime-web", "litert-js": "LiteRT.js"}
TIERS = {"wasm-relaxed": "relaxed", "wasm-simd128": "simd128"}
IDENTITY = ("runtime", "target", "dtype", "sparsity", "block")


def tables(document: dict[str, Any]) -> str:
    """One table per network and thread count, then what each runtime makes a visitor fetch."""
    rows: list[Row] = document["rows"]
    chromium = rows[0]["versions"]["chromium"]
    parts = [f"{document['machine']}; Chromium {chromium}; {document['date']}."]
    for model in dict.fromkeys(r["model"] for r in rows):
        for threads in dict.fromkeys(r["threads"] for r in rows):
            run = [r for r in rows if (r["model"], r["threads"]) == (model, threads)]
            parts += [
                f"\n### {model} in Chromium, {threads} thread{'s' if threads > 1 else ''}\n",
                *latencies(run),
            ]
    return "\n".join([*parts, "\n### What is fetched\n", *downloads(rows)])


def latencies(rows: list[Row]) -> list[str]:
    """Warm runs, first results and memory of one interleaved page."""
    lines = [
        "| runtime | median ms | min ms | p90 ms | runs | against LiteRT.js | first result ms | of that after the script | memory MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    warm = [r for r in rows if r["metric"] == "latency_ms"]
    base = next(r["median"] for r in warm if r["runtime"] == "litert-js")
    for r in warm:
        first, load, peak = (
            other(rows, r, metric)["median"] for metric in ("first_ms", "load_ms", "peak_bytes")
        )
        lines.append(
            f"| {label(r)} | {r['median']:.2f} | {r['min']:.2f} | {r['p90']:.2f} | {r['runs']} "
            f"| {base / r['median']:.2f} x | {first:.0f} | {load:.0f} | {peak / 1e6:.0f} |"
        )
    return lines


def downloads(rows: list[Row]) -> list[str]:
    """Bytes of script and WebAssembly, and of the last network's file."""
    lines = ["| runtime | runtime KB | as brotli | model KB |", "|---|---|---|---|"]
    model = rows[-1]["model"]
    for r in rows:
        if (r["model"], r["threads"], r["metric"]) == (model, 1, "bytes"):
            raw, brotli = (other(rows, r, f"runtime_{what}")["median"] for what in ("bytes", "brotli_bytes"))
            lines.append(
                f"| {label(r)} | {raw / 1e3:,.0f} | {brotli / 1e3:,.0f} | {r['median'] / 1e3:,.0f} |"
            )
    return lines


def other(rows: list[Row], row: Row, metric: str) -> Row:
    """The row of another metric of the same measurement."""
    same = (*IDENTITY, "model", "threads")
    return next(r for r in rows if r["metric"] == metric and all(r[key] == row[key] for key in same))


def label(row: Row) -> str:
    """What a reader calls the row."""
    if row["runtime"] != "lacewing":
        return f"{NAMES[row['runtime']]} {row['versions'][row['runtime']]} {row['dtype']}"
    share = f"{row['sparsity']:.0%} {row['block']}" if row["block"] else "dense"
    return f"Lacewing {TIERS[row['target']]}, {share}"
