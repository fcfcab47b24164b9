"""The converter's commands: their flags and what they print."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

import lacewing
from lacewing.commands import Command
from lacewing.commands.output import print_json, size, table
from lacewing.converter.calibration import Dataset, Preprocessing, open_dataset
from lacewing.converter.compare import Comparison, compare
from lacewing.converter.convert import convert
from lacewing.converter.errors import OptionError
from lacewing.converter.flags import (
    add_preprocessing,
    add_training,
    input_shapes,
    layer_choices,
    preprocessing,
    reproduction,
    training,
)
from lacewing.converter.ir import Graph
from lacewing.converter.labels import read_labels
from lacewing.converter.options import BLOCKS, BUDGETS, ConvertOptions
from lacewing.converter.output import check_kept, check_writable, write_atomically
from lacewing.converter.progress_bar import progress_bar
from lacewing.converter.quantization.ranges import FITTED, RANGES
from lacewing.converter.report import ConversionReport
from lacewing.converter.report_page import report_page
from lacewing.converter.source import load_graph
from lacewing.exit_codes import ExitCode

_NOISE_SAMPLES = 8  # of `compare` without data


def add_convert_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of ``convert``."""
    parser.add_argument("model", type=Path, help="the float network, .onnx")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .lace file to write")
    parser.add_argument(
        "--calib", type=Path, required=True, help="a folder of images, .npz, .npy or a recipe .py"
    )
    parser.add_argument(
        "--calib-count", type=int, default=64, help="samples used, evenly spread (default 64)"
    )
    add_preprocessing(parser)
    parser.add_argument(
        "--input-shape", action="append", default=[], metavar="NAME:1x3x224x224", help="fixes an open shape"
    )
    parser.add_argument(
        "--ranges", choices=list(RANGES), default=FITTED, help="of activations (default fitted)"
    )
    parser.add_argument(
        "--sparsity", type=float, default=0.0, help="share of the weight blocks to drop, 0..0.95"
    )
    parser.add_argument("--block", choices=BLOCKS, default="auto", help="output x input channels of a block")
    parser.add_argument("--budget", choices=BUDGETS, default="global", help="how layers share the sparsity")
    parser.add_argument(
        "--profile",
        metavar="NAME|FILE.toml",
        help="the device to convert for (default: the shipped profile of this machine's kernels)",
    )
    parser.add_argument(
        "--latency",
        type=float,
        metavar="MS",
        help="prunes until the device is predicted to take so long; with --block auto, whole channels too",
    )
    parser.add_argument(
        "--size",
        type=float,
        metavar="KB",
        help="prunes until the weights take so many KB (1024 bytes); channels as above",
    )
    parser.add_argument(
        "--layer",
        action="append",
        default=[],
        metavar="NAME=BLOCK:SPARSITY",
        help="for one layer; repeatable",
    )
    add_training(parser)
    parser.add_argument("--seed", type=int, default=0, help="of sampling and training")
    parser.add_argument("--report", type=Path, metavar="OUT.html", help="writes a page about the conversion")
    parser.add_argument("--quiet", action="store_true", help="prints nothing but errors")


def run_convert(args: argparse.Namespace) -> int:
    """``lacewing convert``."""
    options = ConvertOptions(
        args.calib,
        calibration_count=args.calib_count,
        preprocessing=preprocessing(args, Preprocessing()),
        input_shapes=input_shapes(args.input_shape),
        ranges=args.ranges,
        sparsity=args.sparsity,
        block=args.block,
        budget=args.budget,
        profile=args.profile,
        latency=args.latency,
        size=args.size,
        layers=layer_choices(args.layer),
        seed=args.seed,
        **training(args),
    )
    read = (args.model, args.calib, args.finetune, args.profile)
    check_kept(args.output, args.finetune)  # ``convert`` knows the others
    if args.report is not None:
        check_writable(args.report)
        check_kept(args.report, *read)
        if args.report.resolve() == args.output.resolve():
            raise OptionError(f"--report {args.report}: is the model's file; give another name")
    with progress_bar(args.quiet or args.json) as progress:
        report = convert(args.model, args.output, options, progress)
    if report.tuning is not None and not report.tuning.leads:
        return ExitCode.OK
    report.command = reproduction(sys.argv)
    if args.report is not None:
        write_atomically(args.report, report_page(report).encode())
    if args.json:
        print_json(report.as_json())
    elif not args.quiet:
        print(_report_text(report))
    return ExitCode.OK


def add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of ``compare``."""
    parser.add_argument("lace", type=Path, help="the .lace file")
    parser.add_argument("model", type=Path, help="the float network it came from, .onnx")
    parser.add_argument("--data", type=Path, help="images, .npz, .npy or recipe .py (default: noise)")
    parser.add_argument("--count", type=int, help="samples used, evenly spread (default all)")
    parser.add_argument("--labels", help='a .csv with columns file and class_index, or "folders"')
    add_preprocessing(parser)
    parser.add_argument(
        "--input-shape", action="append", default=[], metavar="NAME:1x3x224x224", help="fixes an open shape"
    )
    parser.add_argument("--quiet", action="store_true", help="prints nothing but errors")


def run_compare(args: argparse.Namespace) -> int:
    """``lacewing compare``."""
    with lacewing.Session(args.lace) as session:
        recorded = session.metadata.get("preprocessing")
    graph = load_graph(args.model, input_shapes(args.input_shape))
    labels = None
    if args.data is None:
        if args.labels:
            raise OptionError("--labels needs --data")
        dataset = _noise(graph)
    else:
        shapes = {v: graph.shapes[v] for v in graph.inputs}
        dataset = open_dataset(args.data, shapes, args.count, preprocessing(args, _recorded(recorded)))
        labels = read_labels(args.labels, dataset) if args.labels else None
    with progress_bar(args.quiet or args.json) as progress:
        result = compare(args.lace, graph, dataset, labels, progress)
    if args.json:
        print_json(result.as_json())
    elif not args.quiet:
        print(_comparison_text(result, args.data is None))
    return ExitCode.OK


def _noise(graph: Graph) -> Dataset:
    generator = np.random.default_rng(0)
    shapes = {v: graph.shapes[v] for v in graph.inputs}
    samples = [
        {v: generator.uniform(-1, 1, s).astype(np.float32) for v, s in shapes.items()}
        for _ in range(_NOISE_SAMPLES)
    ]
    return open_dataset(samples, shapes)


def _recorded(metadata: Any) -> Preprocessing:
    if not isinstance(metadata, dict):
        return Preprocessing()
    try:
        known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in metadata.items()}
        return Preprocessing(**known)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"the preprocessing recorded in the .lace file is not understood ({error})"
        ) from error


def _report_text(report: ConversionReport) -> str:
    rows = [
        [
            la.name,
            la.kind,
            "x".join(map(str, la.output_shape)),
            la.block,
            f"{la.sparsity:.2f}",
            size(la.bytes),
            f"{la.predicted_us:.1f}",
        ]
        + [_db(la.sqnr_db), la.dense_reason]
        for la in report.layers
    ]
    header = ["layer", "kind", "output", "block", "sparsity", "bytes", "us", "SQNR dB", "dense because"]
    lines = [table(header, rows, left=2), ""]
    lines += _narrowed_lines(report) + _training_lines(report) + [f"warning: {w}" for w in report.warnings]
    lines.append(f"{report.predicted_ms:.3f} ms predicted, {report.profile}, one thread")
    lines.append(
        f"{report.output}: {size(report.output_bytes)} (from {size(report.source_bytes)}), "
        f"sparsity {report.sparsity:.1%}, {report.seconds:.1f} s"
    )
    return "\n".join(lines)


def _narrowed_lines(report: ConversionReport) -> list[str]:
    widths = ", ".join(f"{name} {before} -> {after}" for name, (before, after) in report.narrowed.items())
    return [f"whole channels went: {widths}; SQNR is of the network without them"] if widths else []


def _training_lines(report: ConversionReport) -> list[str]:
    lines = [
        f"sparsity {a.sparsity:.0%}: {a.drop:.2f} points lost on {report.judged_by} held-out samples"
        for a in report.attempts
    ]
    tuning = report.tuning
    if tuning is not None:
        lines.append(f"fine-tuned for {tuning.epochs} epochs on {tuning.samples} samples")
        if tuning.discarded is not None:
            lines.append(
                f"the file is of before training: {tuning.drop:.2f} points lost without it, {tuning.discarded:.2f} with it "
                f"({tuning.held_out} held-out samples)"
            )
        else:
            lines.append("SQNR is of the trained network: what int8 costs it")
        if tuning.drop is not None and not report.attempts:
            lines.append(
                f"held-out metric: float {tuning.metric['float']:.4f}, now {tuning.metric['quantized']:.4f} "
                f"({tuning.held_out} samples)"
            )
    return lines


def _comparison_text(result: Comparison, noise: bool) -> str:
    lines = [table(["value", "SQNR dB"], [[v, _db(d)] for v, d in result.layers.items()]), ""]
    if result.moved:
        lines.append(
            f"not compared, because their channels were scaled, moved or taken out: {', '.join(result.moved)}; "
            "the report of convert has their figures"
        )
    if noise:
        lines.append("warning: compared on noise; give --data for figures that mean something")
    lines += [
        f"output {v}: SQNR {_db(d)} dB over {result.samples} samples" for v, d in result.outputs.items()
    ]
    for value, accuracy in result.accuracy.items():
        text = f"output {value}: top-1 agreement {accuracy.agreement:.1f} %"
        if accuracy.lace_top1 is not None:
            text += f", accuracy {accuracy.lace_top1:.1f} % (float {accuracy.float_top1:.1f} %)"
        lines.append(text)
    return "\n".join(lines)


def _db(value: float | None) -> str:
    return "equal" if value is None else f"{value:.1f}"


COMMANDS: tuple[Command, ...] = (
    Command("convert", "turns an ONNX network into a .lace file", add_convert_arguments, run_convert),
    Command("compare", "compares a .lace file with its float network", add_compare_arguments, run_compare),
)
