"""``lacewing profile``: measures this device, so that networks can be converted for it on another machine."""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import asdict
from pathlib import Path

from lacewing.commands import Command, doctor
from lacewing.commands.output import print_json, printable, write_text
from lacewing.errors import OutputError, UsageError
from lacewing.exit_codes import ExitCode

_MOST_SECONDS = 3600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Output, name, time."""
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DEVICE.toml", help="file to write (default: stdout)"
    )
    parser.add_argument("--name", help="what converted files record (default: the output's name)")
    parser.add_argument("--seconds", type=float, default=30.0, help="time to measure for (default 30)")


def run(args: argparse.Namespace) -> int:
    """Measures, fits, writes."""
    from lacewing.profiles.measure import measure
    from lacewing.profiles.profile import to_toml

    if not (math.isfinite(args.seconds) and 0 < args.seconds <= _MOST_SECONDS):
        raise UsageError(f"--seconds {args.seconds}: give a time of up to {_MOST_SECONDS:.0f} seconds")
    name = args.name or (args.output.stem if args.output else "device")
    if not name.isprintable():
        raise UsageError(f"--name {name!r}: give a line of text")
    if args.output is not None and not args.output.parent.is_dir():
        raise OutputError(f"{args.output}: the folder {args.output.parent} does not exist; create it first")
    profile, error = measure(name, printable(doctor.examine()["cpu"]), args.seconds, _shown)
    text = to_toml(profile)
    if args.output is not None:
        write_text(args.output, text)
    if args.json:
        print_json({"output": str(args.output or ""), "median_error": error, "profile": asdict(profile)})
    elif args.output is None:
        print(text, end="")
    else:
        print(
            f"{args.output}: {profile.tier} on {profile.machine}; {error:.1%} median error of convolutions' times"
        )
    return ExitCode.OK


def _shown(share: float) -> None:
    if sys.stderr.isatty():
        print(f"\rmeasuring {share:4.0%}", end="\n" if share >= 1 else "", file=sys.stderr, flush=True)


COMMAND = Command("profile", "measure this device for `convert --profile`", add_arguments, run)
