"""``lacewing trace``: the times of every operator, for Perfetto or chrome://tracing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lacewing.commands import Command
from lacewing.commands.inputs import random_inputs
from lacewing.commands.output import print_json, write_text
from lacewing.errors import UsageError
from lacewing.exit_codes import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Model, output, runs, threads."""
    parser.add_argument("model", type=Path, help=".lace file")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--runs", type=int, default=5, help="runs to record after one warm-up (default 5)")
    parser.add_argument("--threads", default=None, help='a number or "auto"')


def run(args: argparse.Namespace) -> int:
    """Records random inputs and writes the trace."""
    import lacewing
    from lacewing.commands.threads import parse_threads

    if args.runs < 1:
        raise UsageError(f"--runs {args.runs}: give at least 1")
    with lacewing.Session(args.model, threads=parse_threads(args.threads)) as session:
        inputs = random_inputs(session.inputs)
        session.run(inputs)
        document = session.trace(inputs, args.runs)
    write_text(args.output, json.dumps(document))
    summary = {"output": str(args.output), "events": len(document["traceEvents"]), "runs": args.runs}
    if args.json:
        print_json(summary)
    else:
        print(
            f"{args.output}: {summary['events']} events of {args.runs} runs; open it in https://ui.perfetto.dev"
        )
    return ExitCode.OK


COMMAND = Command("trace", "write a per-operator trace for Perfetto or chrome://tracing", add_arguments, run)
