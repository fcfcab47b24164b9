"""The ``lacewing`` command: finds the sub-command, runs it, turns errors into a line and an exit code."""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import entry_points

import lacewing
from lacewing.commands import GROUP, Command, bench, doctor, inspect, profile, selftest, trace, verify
from lacewing.errors import LacewingError, MissingDependencyError
from lacewing.exit_codes import ExitCode

BUILT_IN: tuple[Command, ...] = (
    inspect.COMMAND,
    verify.COMMAND,
    bench.COMMAND,
    trace.COMMAND,
    profile.COMMAND,
    doctor.COMMAND,
    selftest.COMMAND,
)
DESCRIPTION = "Converts, checks, runs and measures group-sparse int8 .lace models."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line (default: the process's) and returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        parser = _parser(_commands(arguments))
        args = parser.parse_args(arguments)
    except SystemExit as stop:  # argparse has printed help, the version or what is wrong
        return ExitCode.OK if stop.code in (0, None) else ExitCode.USAGE
    except LacewingError as error:
        return _report(error, "--json" in arguments)
    return _run(args)


def _run(args: argparse.Namespace) -> int:
    try:
        return int(args.run(args))
    except LacewingError as error:
        return _report(error, args.json)
    except ImportError as error:
        if (error.name or "").rpartition(".")[2] != "_engine":
            raise
        advice = 'run "lacewing doctor", or reinstall: pip install --force-reinstall lacewing'
        return _report(MissingDependencyError(f"the engine cannot be loaded: {error}; {advice}"), args.json)
    except BrokenPipeError:
        # Whoever read our output has enough; without this the interpreter complains again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OUTPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED


def _report(error: LacewingError, as_json: bool) -> int:
    if os.environ.get("LACEWING_DEBUG") == "1":
        traceback.print_exception(error)
    print(f"lacewing: {error}", file=sys.stderr)
    if as_json:
        details = {"type": type(error).__name__, "message": str(error), "exit_code": int(error.exit_code)}
        print(json.dumps({"error": details}))
    return error.exit_code


def _parser(commands: Sequence[Command]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("lacewing", description=DESCRIPTION, epilog=_exit_codes())
    parser.add_argument("--version", action="version", version=f"lacewing {lacewing.__version__}")
    children = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in commands:
        child = children.add_parser(command.name, help=command.help, description=command.help)
        child.add_argument("--json", action="store_true", help="print one JSON document on stdout")
        command.add_arguments(child)
        child.set_defaults(run=command.run)
    return parser


def _exit_codes() -> str:
    return "Exit codes: " + ", ".join(f"{c.value} {c.name.lower().replace('_', ' ')}" for c in ExitCode) + "."


def _commands(arguments: Sequence[str]) -> list[Command]:
    """The built-in commands, and those of other packages if the line does not start with a built-in one."""
    wanted = next((a for a in arguments if not a.startswith("-")), None)
    if wanted in {command.name for command in BUILT_IN} or "--version" in arguments:
        return list(BUILT_IN)
    commands = list(BUILT_IN)
    missing: list[str] = []
    for entry in entry_points(group=GROUP):
        try:
            loaded = entry.load()
            commands += [Command(*item) for item in ([loaded] if isinstance(loaded, Command) else loaded)]
        except ModuleNotFoundError as error:
            missing.append(f"{entry.name} (needs the package {error.name})")
    if missing and wanted is not None and wanted not in {command.name for command in commands}:
        raise MissingDependencyError(
            f"no command {wanted!r} here; the commands of {', '.join(missing)} are not installed: "
            'pip install "lacewing[convert]"'
        )
    return commands


if __name__ == "__main__":
    sys.exit(main())
