"""The ARM part of docs/performance.md from docs/data/arm.json."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
Document = dict[str, Any]

TARGETS = {
    "arm-armv8.0": "ARMv8.0 (Cortex-A72)",
    "arm-dotprod": "dotprod (Cortex-A76)",
    "arm-i8mm": "i8mm (qemu's max)",
}
MILLION = 1e6
DETAILED = "mobilenet_v1_1.0_224"  # the network whose functions are listed
SHOWN = {(0.0, None), (0.75, "4x4")}  # of ours
SMALL = 0.005  # share of a run below which a function is not listed


def label(row: Row) -> str:
    """What a reader calls the row."""
    if row["runtime"] != "lacewing":
        return f"{row['runtime']} {row['versions'][row['runtime']]} {row['dtype']}"
    return f"Lacewing {row['sparsity']:.0%} {row['block']}" if row["block"] else "Lacewing dense"


def ordered(rows: list[Row]) -> list[Row]:
    """Ours first, densest first, square blocks before flat ones."""
    blocks = [None, "4x8", "4x4", "2x4", "1x4"]
    names = ["lacewing", "litert", "onnxruntime"]
    return sorted(rows, key=lambda r: (names.index(r["runtime"]), r["sparsity"], blocks.index(r["block"])))


def counts(rows: list[Row], model: str) -> str:
    """One line per file, one column per processor: millions of instructions and their share of LiteRT's."""
    here = [r for r in rows if r["model"] == model]
    litert = {r["target"]: r["median"] for r in here if r["runtime"] == "litert"}
    lines = [f"| runtime | {' | '.join(TARGETS.values())} |", "|---" * (len(TARGETS) + 1) + "|"]
    for name in dict.fromkeys(label(r) for r in ordered(here)):
        cells = []
        for target in TARGETS:
            row = next((r for r in here if label(r) == name and r["target"] == target), None)
            cells.append(
                f"{row['median'] / MILLION:.1f} M ({row['median'] / litert[target]:.2f})" if row else ""
            )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def functions(row: Row) -> str:
    """The functions of one run that matter, in one line."""
    parts = [
        f"`{name}` {n / MILLION:.2f}" for name, n in row["by_function"].items() if n >= SMALL * row["median"]
    ]
    rest = row["median"] - sum(n for n in row["by_function"].values() if n >= SMALL * row["median"])
    return ", ".join([*parts, f"all else {rest / MILLION:.2f}"])


def where(rows: list[Row]) -> str:
    """Millions of instructions by function: LiteRT, ours dense and at 75 %."""
    wanted = [
        r
        for r in ordered([r for r in rows if r["model"] == DETAILED])
        if r["runtime"] == "litert" or (r["runtime"] == "lacewing" and (r["sparsity"], r["block"]) in SHOWN)
    ]
    lines = ["| processor | runtime | millions of instructions by function |", "|---|---|---|"]
    for target, name in TARGETS.items():
        lines += [f"| {name} | {label(r)} | {functions(r)} |" for r in wanted if r["target"] == target]
    return "\n".join(lines)


def loops(found: list[Row]) -> str:
    """Modelled multiply-accumulates a cycle of every inner loop."""
    by_kernel = {row["kernel"]: [r["core"] for r in found if r["kernel"] == row["kernel"]] for row in found}
    cores = max(by_kernel.values(), key=len)  # NEON runs on all
    lines = [
        f"| kernel | instructions | MAC | {' | '.join(cores)} |",
        "|---" * (len(cores) + 3) + "|",
    ]
    for kernel in by_kernel:
        of = {row["core"]: row for row in found if row["kernel"] == kernel}
        first = next(iter(of.values()))
        cells = [f"{first['products'] / of[c]['cycles']:.1f}" if c in of else "" for c in cores]
        lines.append(f"| `{kernel}` | {first['instructions']} | {first['products']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def tables(document: Document) -> str:
    """The whole section."""
    rows: list[Row] = document["rows"]
    versions = rows[0]["versions"]
    method = f"{document['date']}; qemu {versions['qemu']}, user mode; one thread."
    unit = "Millions of executed instructions per inference; in brackets their share of LiteRT's on the same processor."
    parts = [f"{method} {unit}"]
    for model in dict.fromkeys(r["model"] for r in rows):
        parts += [f"\n### {model}, executed instructions\n", counts(rows, model)]
    parts += [f"\n### Where they go, {DETAILED}\n", where(rows)]
    parts += [
        f"\n### Inner loops, multiply-accumulates a cycle in the model of {document['modeller']}\n",
        loops(document["loops"]),
    ]
    return "\n".join(parts)
