"""``lacewing verify``: one file against every invariant of the format."""

from __future__ import annotations

import argparse
from pathlib import Path

from lacewing.commands import Command
from lacewing.commands.output import print_json
from lacewing.errors import ModelFormatError
from lacewing.exit_codes import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file."""
    parser.add_argument("model", type=Path, help=".lace file; may come from anywhere")


def run(args: argparse.Namespace) -> int:
    """Prints the verdict; a broken invariant is exit code 3."""
    import lacewing

    try:
        lacewing.verify(args.model)
    except ModelFormatError as error:
        if args.json:
            print_json(_verdict(args.model, error))
            return ExitCode.BAD_MODEL
        raise
    if args.json:
        print_json({"model": str(args.model), "valid": True})
    else:
        print(f"{args.model}: valid")
    return ExitCode.OK


def _verdict(model: Path, error: ModelFormatError) -> dict[str, object]:
    fields = ("code", "name", "rule", "where", "index", "found", "wanted")
    return {"model": str(model), "valid": False, "error": {field: getattr(error, field) for field in fields}}


COMMAND = Command("verify", "check a .lace file against every invariant of the format", add_arguments, run)
