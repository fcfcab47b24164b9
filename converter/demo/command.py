"""The ``lacewing demo`` command: runs the demo, prints its table, writes report.html and report.json."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from lacewing.commands import Command
from lacewing.commands.output import milliseconds, print_json, size, table, write_text
from lacewing.exit_codes import ExitCode

if TYPE_CHECKING:
    from lacewing.converter.demo.run import Row

_TEMPLATE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Lacewing demo</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 58rem; margin: 2rem auto; padding: 0 1rem; color: #1b2a2f }
table { border-collapse: collapse; width: 100% } th, td { padding: .35rem .6rem; text-align: right }
th:first-child, td:first-child { text-align: left } tr + tr { border-top: 1px solid #d5dfe0 }
rect { fill: #2d8a6b } rect.peer { fill: #9fb0b3 } text { font: 13px system-ui, sans-serif; fill: #1b2a2f }
</style>
<h1>Lacewing demo</h1>
<p>A small MobileNet trained on the UCI digits, converted at several sparsities, and measured on this machine in one
interleaved run with onnxruntime, one thread. Dense int8 is calibrated on images; the sparse networks are fine-tuned with
the engine's own integers, taught by labels and by the float network.</p>
<table><tr><th>model<th>accuracy<th>drop, points<th>bytes<th>median ms<th>first ms<th>against int8 ONNX</tr>
{%- for r in rows %}
<tr><td>{{ r.name }}<td>{{ "%.1f %%"|format(r.accuracy) }}<td>{{ "%.1f"|format(r.drop) }}<td>{{ "{:,}".format(r.bytes) }}
<td>{{ "%.3f"|format(r.median_ms) }}<td>{{ "%.2f"|format(r.first_ms) }}<td>{{ "%.2f x"|format(r.speedup) }}</tr>
{%- endfor %}</table>
<h2>Median latency, ms</h2>
<svg viewBox="0 0 700 {{ rows|length * 30 }}" role="img" aria-label="median latency of each model in milliseconds">
{%- for r in rows %}
<text x="0" y="{{ loop.index0 * 30 + 19 }}">{{ r.name }}</text>
<rect class="{{ '' if 'lace' in r.name else 'peer' }}" x="150" y="{{ loop.index0 * 30 + 5 }}" height="20" width="{{ 450 * r.median_ms / slowest }}"/>
<text x="{{ 158 + 450 * r.median_ms / slowest }}" y="{{ loop.index0 * 30 + 19 }}">{{ "%.3f"|format(r.median_ms) }}</text>
{%- endfor %}</svg>
<p>{{ machine }}. Repeat with <code>lacewing demo</code>.</p></html>
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to, and the seed."""
    parser.add_argument(
        "--output", type=Path, default=Path("lacewing-demo"), help="folder for models and report"
    )
    parser.add_argument("--seed", type=int, default=0)


def main(args: argparse.Namespace) -> int:
    """Runs the demo; about two minutes on two cores."""
    from lacewing.converter.demo.run import as_json, run  # torch takes seconds to import
    from lacewing.converter.progress_bar import progress_bar

    with progress_bar(quiet=args.json) as progress:
        rows = run(args.output, progress, args.seed)
    write_text(args.output / "report.html", html(rows))
    write_text(
        args.output / "report.json", json.dumps({"machine": machine(), "rows": as_json(rows)}, indent=1)
    )
    if args.json:
        print_json(as_json(rows))
        return ExitCode.OK
    header = ("model", "accuracy", "drop", "bytes", "median ms", "first ms", "against int8 ONNX")
    print(table(header, [_cells(row) for row in rows]))
    print(f"\n{machine()}\nreport: {args.output / 'report.html'}")
    return ExitCode.OK


def _cells(row: Row) -> list[str]:
    return [
        row.name,
        f"{row.accuracy:.1f} %",
        f"{row.drop:.1f}",
        size(row.bytes),
        milliseconds(row.median_ms),
        milliseconds(row.first_ms),
        f"{row.speedup:.2f} x",
    ]


def html(rows: list[Row]) -> str:
    """A page that stands alone: no script, no network."""
    import jinja2

    environment = jinja2.Environment(autoescape=True)
    slowest = max(row.median_ms for row in rows)
    return environment.from_string(_TEMPLATE).render(rows=rows, slowest=slowest, machine=machine())


def machine() -> str:
    """Processor family, Python, date."""
    return f"{platform.machine()}, {platform.system()}, Python {sys.version.split()[0]}, {date.today().isoformat()}"


COMMAND = Command("demo", "the whole way on data that ships with scikit-learn", add_arguments, main)
