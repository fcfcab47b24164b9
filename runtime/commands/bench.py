"""``lacewing bench``: models side by side, with Lacewing and with other runtimes."""

from __future__ import annotations

import argparse
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lacewing.commands import Command
from lacewing.commands.output import milliseconds, print_json, printable, quiet_stdout, size, table
from lacewing.errors import UsageError
from lacewing.exit_codes import ExitCode

if TYPE_CHECKING:
    from lacewing.bench.measure import Target


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Models, peers, how long."""
    parser.add_argument(
        "models", type=Path, nargs="+", help=".lace files, and .onnx, .tflite, .mnn for the peers"
    )
    parser.add_argument("--peers", help="onnxruntime,openvino,litert,mnn (default: those that are installed)")
    parser.add_argument("--threads", default="1", help='a number or "auto" (default 1)')
    parser.add_argument("--rounds", type=int, default=10, help="interleaved rounds (default 10)")
    parser.add_argument("--seconds", type=float, default=3.0, help="time per model in all rounds (default 3)")
    parser.add_argument(
        "--layers", action="store_true", help="also the time of every layer of the .lace files"
    )


def run(args: argparse.Namespace) -> int:
    """Measures and prints; with --json a list of rows as in docs/data."""
    from lacewing import arguments
    from lacewing.bench.measure import interleave, probe
    from lacewing.commands.threads import parse_threads

    if args.rounds < 1 or not 0 < args.seconds <= 3600:
        raise UsageError("--rounds must be at least 1 and --seconds between 0 and 3600")
    targets = choose(args.models, args.peers, arguments.thread_count(parse_threads(args.threads)))
    with quiet_stdout(), tempfile.TemporaryDirectory(prefix="lacewing-bench-") as folder:
        for target in targets:
            target.file = target.peer.prepare(target.path, Path(folder))
            target.open()  # here first: a file that cannot be loaded is named with its own error
            probe(target)
        interleave(targets, args.rounds, args.seconds)
    layers = {str(t.path): _layer_times(t) for t in targets if args.layers and t.path.suffix == ".lace"}
    if args.json:
        rows = [row for target in targets for row in _rows(target)]
        print_json({"rows": rows, "layers": layers} if args.layers else rows)
        return ExitCode.OK
    print(_text(targets))
    for path, times in layers.items():
        print(f"\n{path}\n" + _layer_table(times))
    return ExitCode.OK


def choose(models: list[Path], wanted: str | None, threads: int) -> list[Target]:
    """Every model with every runtime that reads it. Raises ``UsageError`` where nothing fits."""
    from lacewing.bench.measure import Target
    from lacewing.bench.peers import LACEWING, PEERS

    names = [name.strip() for name in wanted.split(",")] if wanted else list(PEERS)
    for name in names:
        if name not in PEERS:
            raise UsageError(f"--peers: no peer {name!r}; there are {', '.join(PEERS)}")
    peers = [PEERS[name] for name in names if wanted or PEERS[name].installed()]
    targets = [
        Target(peer, path, threads)
        for path in models
        for peer in (LACEWING, *peers)
        if path.suffix in peer.suffixes
    ]
    for path in models:
        if not any(target.path == path for target in targets):
            raise UsageError(
                f"{path}: no runtime for {path.suffix or 'a file without suffix'} files; see --peers"
            )
    for peer in peers if wanted else []:
        if not any(target.peer == peer for target in targets):
            raise UsageError(f"--peers: {peer.name} reads {', '.join(peer.suffixes)}; name such a model, too")
    return targets


def _layer_times(target: Target) -> list[dict[str, Any]]:
    from lacewing.bench.peers.lacewing_peer import LacewingRunner

    runner = target.open()
    if not isinstance(runner, LacewingRunner):
        return []
    return [time._asdict() for time in runner.session.profile(runner.inputs)]


def _rows(target: Target) -> list[dict[str, Any]]:
    runner = target.open()
    sparsity, block = _pattern(target)
    common = {
        "model": target.path.stem,
        "target": runner.target,
        "runtime": target.peer.name,
        "dtype": runner.dtype,
        "sparsity": sparsity,
        "block": block,
        "threads": target.threads,
    }
    versions = {"python": platform.python_version(), target.peer.name: target.peer.version()}
    latency = {"median": target.median(), "min": target.least(), "p90": target.percentile(0.9)}
    rows = [common | {"metric": "latency_ms", **latency, "runs": len(target.seconds), "versions": versions}]
    single = {**target.probe, "bytes": target.file_bytes}
    for metric, value in single.items():
        spread = {"median": value, "min": value, "p90": value}
        rows.append(common | {"metric": metric, **spread, "runs": 1, "versions": versions})
    return rows


def _pattern(target: Target) -> tuple[float, str | None]:
    """Share of multiply-accumulates dropped, and the block sizes of the sparse layers."""
    from lacewing.bench.peers.lacewing_peer import LacewingRunner
    from lacewing.commands.layers import layer_rows

    runner = target.open()
    if not isinstance(runner, LacewingRunner):
        return 0.0, None
    rows = layer_rows(runner.session)
    blocks = sorted({row.block for row in rows if row.block and row.sparsity})
    macs = sum(row.macs for row in rows)
    return (1 - sum(row.kept_macs for row in rows) / macs if macs else 0.0), "+".join(blocks) or None


def _text(targets: list[Target]) -> str:
    header = (
        "model",
        "runtime",
        "type",
        "init ms",
        "first ms",
        "median ms",
        "p90 ms",
        "min ms",
        "peak",
        "bytes",
    )
    rows = [
        [
            target.path.name,
            f"{target.peer.name} {target.peer.version()}",
            target.open().dtype,
            milliseconds(target.probe["init_ms"]),
            milliseconds(target.probe["first_ms"]),
            milliseconds(target.median()),
            milliseconds(target.percentile(0.9)),
            milliseconds(target.least()),
            size(target.probe["peak_bytes"]),
            size(target.file_bytes),
        ]
        for target in targets
    ]
    return table(header, rows, left=3)


def _layer_table(times: list[dict[str, Any]]) -> str:
    total = sum(time["seconds"] for time in times) or 1.0
    rows = [
        [printable(t["name"]), t["kernel"], f"{t['seconds'] * 1e6:.1f}", f"{t['seconds'] / total:.1%}"]
        for t in times
    ]
    return table(("layer", "kernel", "us", "share"), rows, left=2)


COMMAND = Command("bench", "measure models side by side with other runtimes", add_arguments, run)
