"""The whole conversion: import, calibrate, prune, quantize, lower, verify, write."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

import lacewing
from lacewing.converter.calibration import Dataset, open_dataset
from lacewing.converter.ir import Graph, Node
from lacewing.converter.lowering.builder import printable
from lacewing.converter.lowering.lower import check_supported, lower
from lacewing.converter.onnx_import import import_onnx
from lacewing.converter.options import ConvertOptions
from lacewing.converter.output import check_writable, write_atomically
from lacewing.converter.passes import TRAINING_PASSES, run_passes
from lacewing.converter.progress import Progress, silent
from lacewing.converter.quantization.assign import assign
from lacewing.converter.quantization.collect import collect_statistics
from lacewing.converter.quantization.equalize import equalize
from lacewing.converter.quantization.layerwise import stack, walk
from lacewing.converter.quantization.plan import LayerPlan, QuantizationPlan
from lacewing.converter.quantization.split import split_channels
from lacewing.converter.report import ConversionReport, make_report
from lacewing.converter.sparsity.budget import LayerBudget, plan_budget
from lacewing.converter.sparsity.prune import prune_layer
from lacewing.converter.torch_import import example_inputs, import_module
from lacewing.format.model import Model

Array = npt.NDArray[Any]
Source = str | Path | nn.Module  # an ONNX file, or a network of torch

_LAYERWISE_SAMPLES = 64  # the layer-by-layer walk holds them all at once


def convert(
    model_path: str | Path, output: str | Path, options: ConvertOptions, progress: Progress = silent
) -> ConversionReport:
    """Converts the ONNX file to the ``.lace`` file ``output``; the file appears only when all went well.

    progress is called with (stage, share done). Raises ConversionError subclasses for what the user can mend.
    """
    started = time.monotonic()
    target = Path(output)
    check_writable(target)
    graph = load_graph(model_path, options.input_shapes)
    dataset = open_dataset(
        options.calibration,
        {v: graph.shapes[v] for v in graph.inputs},
        options.calibration_count,
        options.preprocessing,
    )
    model, plan, budgets, sqnr = quantize_graph(graph, dataset, options, progress)
    model.metadata = {**_metadata(graph, dataset, options, plan), **options.metadata}
    content = model.to_bytes()
    lacewing.verify(content)
    write_atomically(target, content)
    report = make_report(graph, model, plan, budgets, sqnr, options)
    report.set_files(Path(model_path), target, time.monotonic() - started)
    return report


def load_graph(source: Source, input_shapes: Mapping[str, Sequence[int]]) -> Graph:
    """The source network as canonical IR that the engine can run. Raises ConversionError subclasses.

    ``input_shapes`` names what an ONNX file leaves open, and every input of a module's ``forward``.
    """
    return _canonical(_imported(source, input_shapes))


def load_training_graph(source: Source, input_shapes: Mapping[str, Sequence[int]] | None = None) -> Graph:
    """The source network as IR to be trained: batch norms and clamps are nodes of their own, gates are one.

    ``run_passes`` makes of it what ``load_graph`` returns. Raises what ``load_graph`` raises, before any training.
    """
    graph = _imported(source, input_shapes or {})
    _canonical(deepcopy(graph))
    for step in TRAINING_PASSES:
        step(graph)
    return graph


def _imported(source: Source, input_shapes: Mapping[str, Sequence[int]]) -> Graph:
    if isinstance(source, nn.Module):
        return import_module(source, example_inputs(source, input_shapes))
    return import_onnx(source, input_shapes)


def _canonical(graph: Graph) -> Graph:
    run_passes(graph)
    check_supported(graph)
    return graph


def quantize_graph(
    graph: Graph, dataset: Dataset, options: ConvertOptions, progress: Progress = silent
) -> tuple[Model, QuantizationPlan, dict[str, LayerBudget], dict[str, float]]:
    """(model without metadata, plan, pruning budget and SQNR in dB per node and value) of a float graph."""
    statistics = collect_statistics(graph, dataset, options.seed, progress)
    if options.equalize and equalize(graph, statistics):
        statistics = collect_statistics(graph, dataset, options.seed, progress)
    plan = assign(graph, statistics, options.ranges)
    inputs = stack(dataset, graph, _LAYERWISE_SAMPLES)
    split_channels(graph, plan, inputs)
    budgets = plan_budget(graph, options, inputs, options.seed)
    generator = np.random.default_rng(options.seed)

    def change(node: Node, layer: LayerPlan, current: Array, reference: Array) -> None:
        prune_layer(node, layer, budgets[node.name], current, reference, generator)

    sqnr = walk(graph, plan, inputs, change, progress)
    return lower(graph, plan), plan, budgets, sqnr


def _metadata(
    graph: Graph, dataset: Dataset, options: ConvertOptions, plan: QuantizationPlan
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "converter": f"lacewing {lacewing.__version__}",
        "model": graph.name,
        "calibration": {"samples": len(dataset), "ranges": options.ranges, "seed": options.seed},
    }
    if options.sparsity:
        metadata["sparsity"] = {"share": options.sparsity, "block": options.block, "budget": options.budget}
    if plan.repeats:
        metadata["repeated_channels"] = {printable(v): pairs for v, pairs in plan.repeats.items()}
    if dataset.preprocessing is not None:
        metadata["preprocessing"] = dataset.preprocessing.metadata()
    return metadata
