"""``lacewing inspect``: layers, shapes, sparsity, bytes and kernels of a model."""

from __future__ import annotations

import argparse
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from lacewing.commands import Command
from lacewing.commands.layers import summary
from lacewing.commands.output import print_json, printable, size, table, write_text
from lacewing.commands.page import page, shape
from lacewing.errors import MissingDependencyError
from lacewing.exit_codes import ExitCode

EXPORTERS = "lacewing.exporters"  # entry points: function(file: bytes, output: Path) -> None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Model and the other forms to write."""
    parser.add_argument("model", type=Path, help=".lace file")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a self-contained page")
    parser.add_argument(
        "--profile",
        metavar="NAME|FILE.toml",
        help="device whose times are predicted (default: the file's, or this machine's)",
    )
    if entry_points(group=EXPORTERS, name="onnx"):
        parser.add_argument("--onnx", type=Path, metavar="FILE", help="write an ONNX QDQ twin")
    else:
        parser.set_defaults(onnx=None)


def run(args: argparse.Namespace) -> int:
    """Prints the table or the JSON, writes what was asked for."""
    import lacewing
    from lacewing.profiles.profile import for_file, load

    export = _exporter() if args.onnx else None
    with lacewing.Session(args.model, threads=1) as session:
        profile = load(args.profile) if args.profile else for_file(session.metadata)
        report = {"model": str(args.model)} | summary(session, profile)
        file = bytes(session.file_view())
    if args.html:
        write_text(args.html, page(args.model.name, report))
    if export is not None:
        export(file, args.onnx)
    if args.json:
        print_json(report)
    else:
        print(_text(report))
    return ExitCode.OK


def _exporter() -> Any:
    (entry, *_) = entry_points(group=EXPORTERS, name="onnx")
    try:
        return entry.load()
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f'--onnx needs the package {error.name}: pip install "lacewing[convert]"'
        ) from error


def _text(report: dict[str, Any]) -> str:
    header = (
        "layer",
        "kind",
        "input",
        "output",
        "block",
        "kept",
        "MACs",
        "kept MACs",
        "bytes",
        "us",
        "kernel",
    )
    rows = [_cells(layer) for layer in report["layers"]]
    memory = f"{size(report['memory_bytes'])} (activations {size(report['arena_bytes'])})"
    macs = f"{report['kept_macs']:,} of {report['macs']:,} MACs kept"
    time = f"{report['predicted_ms']:.3f} ms predicted, {printable(report['profile'])}, one thread"
    facts = [
        f"{report['model']}: {size(report['file_bytes'])}, work memory {memory}, {macs}",
        time,
        *(_tensor("input", t) for t in report["inputs"]),
        *(_tensor("output", t) for t in report["outputs"]),
        f"float layers: {', '.join(map(printable, report['float_layers'])) or 'none'}; bit-exact: yes",
    ]
    return "\n".join([*facts, "", table(header, rows, left=2)])


def _tensor(role: str, tensor: dict[str, Any]) -> str:
    quantization = ""
    if tensor["dtype"] == "uint8":
        quantization = f", real = (value - {tensor['zero_point']}) * {tensor['scale']:.9g}"
    return f"{role} {printable(tensor['name'])}: {tensor['dtype']} {shape(tensor['shape'])}{quantization}"


def _cells(layer: dict[str, Any]) -> list[str]:
    return [
        printable(layer["name"]) or "-",
        layer["kind"],
        shape(layer["input_shape"]),
        shape(layer["output_shape"]),
        layer["block"] or "",
        "" if layer["sparsity"] is None else f"{1 - layer['sparsity']:.0%}",
        f"{layer['macs']:,}" if layer["macs"] else "",
        f"{layer['kept_macs']:,}" if layer["macs"] else "",
        str(layer["weight_bytes"] or ""),
        f"{layer['predicted_us']:.1f}",
        layer["kernel"],
    ]


COMMAND = Command("inspect", "show a model's layers, shapes, sparsity, bytes and kernels", add_arguments, run)
