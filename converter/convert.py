"""The whole conversion: import, calibrate, prune, quantize, lower, verify, write."""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import lacewing
from lacewing.converter.calibration import Dataset, open_dataset
from lacewing.converter.errors import OptionError, TrainingError
from lacewing.converter.ir import Graph, Node
from lacewing.converter.lowering.builder import printable
from lacewing.converter.lowering.lower import lower
from lacewing.converter.made import EQUALIZED, REARRANGED, Made
from lacewing.converter.options import ConvertOptions
from lacewing.converter.output import check_kept, check_writable, write_atomically
from lacewing.converter.passes import run_passes
from lacewing.converter.progress import Progress, silent
from lacewing.converter.quantization.assign import assign
from lacewing.converter.quantization.collect import collect_statistics
from lacewing.converter.quantization.equalize import equalize
from lacewing.converter.quantization.layerwise import stack, walk
from lacewing.converter.quantization.narrow import narrow
from lacewing.converter.quantization.plan import LayerPlan
from lacewing.converter.quantization.ranges import FITTED
from lacewing.converter.quantization.split import split_channels
from lacewing.converter.report import ConversionReport, make_report
from lacewing.converter.search import engine_metric, sparsest
from lacewing.converter.source import Source, known_shapes, load_graph, load_training_graph, source_size
from lacewing.converter.sparsity.budget import REACH, device_profile
from lacewing.converter.sparsity.channel_pruning import plan_pruning
from lacewing.converter.sparsity.prune import prune_layer
from lacewing.converter.sparsity.rearrange import rearrange_for
from lacewing.converter.training.distributed import Workers, workers
from lacewing.converter.training.pipeline import fine_tune, prepared
from lacewing.converter.training.recipe import Recipe
from lacewing.converter.training.unlabelled import held_out, split
from lacewing.errors import ModelFormatError

Array = npt.NDArray[Any]

_LAYERWISE_SAMPLES = 64  # the layer-by-layer walk holds them all at once


def convert(
    source: Source, output: str | Path, options: ConvertOptions, progress: Progress = silent
) -> ConversionReport:
    """Converts an ONNX file or a torch module to the ``.lace`` file ``output``; it appears only when all went well.

    progress is called with (stage, share done). Where several processes fine-tune, the first one writes the file.
    Raises ConversionError subclasses for what the user can mend.
    """
    started = time.monotonic()
    target = Path(output)
    check_writable(target)
    check_kept(target, source, options.calibration, options.profile)
    options = replace(options, input_shapes=known_shapes(source, options))
    made = _make(source, options, progress)
    options = replace(options, sparsity=made.sparsity, max_drop=None)
    made.model.metadata = {**_metadata(made, options), **options.metadata}
    content = made.model.to_bytes()
    _verify(content, made)
    report = make_report(made, options)
    if made.tuning is None or made.tuning.leads:
        write_atomically(target, content)
        report.set_files(*source_size(source), target, time.monotonic() - started)
    return report


def _verify(content: bytes, made: Made) -> None:
    try:
        lacewing.verify(content)
    except ModelFormatError as error:
        if made.tuning is None:
            raise
        raise TrainingError(
            f"training ended in weights or scales that the engine cannot compute with ({error.rule}): "
            "lower the recipe's learning_rate or quantized_learning_rate"
        ) from error


def _make(source: Source, options: ConvertOptions, progress: Progress) -> Made:
    if not options.finetune:
        return _post_training(source, options, progress)
    here = workers(options.device)
    return _fine_tuned(source, options, here, progress if here.leads else silent)


def _fine_tuned(source: Source, options: ConvertOptions, here: Workers, progress: Progress) -> Made:
    raw = load_training_graph(source, options.input_shapes)
    dataset, recipe = prepared(raw, options)
    if options.max_drop is None:
        return _trained(raw, dataset, recipe, options, here, progress)
    if recipe.metric is None:
        raise OptionError(
            "--max-drop needs something to judge by: outputs that are classes, or a recipe's metric"
        )

    def drop(made: Made) -> float:
        assert made.tuning is not None and made.tuning.drop is not None
        lost = made.tuning.drop
        return here.of_first(lambda: lost)

    def make(sparsity: float) -> Made:
        folder = options.checkpoint / f"{sparsity:.2f}" if options.checkpoint is not None else None
        told = replace(options, sparsity=sparsity, max_drop=None, checkpoint=folder)
        return _trained(raw, dataset, recipe, told, here, progress)

    return sparsest(make, drop, options.max_drop, len(recipe.validation))


def _trained(
    raw: Graph,
    dataset: Dataset,
    recipe: Recipe,
    options: ConvertOptions,
    here: Workers,
    progress: Progress,
) -> Made:
    """Fine-tuned. Images alone may teach less than training forgets (docs/sparsity.md): without a recipe, the better of
    that and of what the same samples give without training, by the held-out ones."""
    made = fine_tune(raw, dataset, recipe, options, here, progress)
    if isinstance(options.finetune, Recipe) or recipe.metric is None:
        return made
    assert made.tuning is not None
    plain = quantize_graph(run_passes(deepcopy(raw)), dataset, options, progress)
    reached = engine_metric(plain, recipe.validation, recipe.metric)
    tuned = made.tuning.metric["quantized"]
    if here.of_first(lambda: reached <= tuned):
        return made
    metric = {**made.tuning.metric, "quantized": reached}
    return replace(plain, tuning=replace(made.tuning, metric=metric, discarded=made.tuning.drop))


def _post_training(source: Source, options: ConvertOptions, progress: Progress) -> Made:
    graph = load_graph(source, options.input_shapes)
    shapes = {v: graph.shapes[v] for v in graph.inputs}
    if options.max_drop is None:
        dataset = open_dataset(options.calibration, shapes, options.calibration_count, options.preprocessing)
        return quantize_graph(graph, dataset, options, progress)
    everything = open_dataset(options.calibration, shapes, None, options.preprocessing)
    judge = held_out(graph, everything, "--max-drop")
    dataset = split(everything)[0].spread(options.calibration_count)
    before = judge.float_metric()

    def make(sparsity: float) -> Made:
        told = replace(options, sparsity=sparsity, max_drop=None)
        return quantize_graph(deepcopy(graph), dataset, told, progress)

    def drop(made: Made) -> float:
        return 100 * (before - engine_metric(made, judge.data, judge.metric))

    return sparsest(make, drop, options.max_drop, len(judge.data))


def quantize_graph(
    graph: Graph, dataset: Dataset, options: ConvertOptions, progress: Progress = silent
) -> Made:
    """A float graph, which is rewritten on the way, pruned and quantized on calibration samples alone."""
    inputs = stack(dataset, graph, _LAYERWISE_SAMPLES)
    statistics = collect_statistics(graph, dataset, options.seed, progress)
    equalized = equalize(graph, statistics) if options.equalize else []
    if equalized:
        statistics = collect_statistics(graph, dataset, options.seed, progress)
    pruning = plan_pruning(graph, deepcopy, options, inputs, REACH, progress)
    narrowed, graph, budgets = pruning.narrowed(graph), pruning.graph, pruning.budgets
    moved = rearrange_for(graph, budgets, inputs, options) if options.rearrange else None
    if moved is not None:
        graph = moved.apply(graph)
    if moved is not None or narrowed:
        statistics = collect_statistics(graph, dataset, options.seed, progress)
    plan = assign(graph, statistics, options.ranges)
    split_channels(graph, plan, inputs)
    if options.ranges == FITTED:
        narrow(graph, plan, inputs, progress)
    generator = np.random.default_rng(options.seed)

    def change(node: Node, layer: LayerPlan, current: Array, reference: Array) -> None:
        prune_layer(node, layer, budgets[node.name], current, reference, generator)

    sqnr = walk(graph, plan, inputs, change, progress)
    model = lower(graph, plan)
    return Made(
        graph,
        model,
        plan,
        budgets,
        sqnr,
        dataset,
        moved,
        sparsity=options.sparsity,
        narrowed=narrowed,
        equalized=equalized,
    )


def _metadata(made: Made, options: ConvertOptions) -> dict[str, Any]:
    dataset, plan = made.calibration, made.plan
    metadata: dict[str, Any] = {
        "converter": f"lacewing {lacewing.__version__}",
        "model": made.graph.name,
        "calibration": {"samples": len(dataset), "ranges": options.ranges, "seed": options.seed},
    }
    if options.prunes:
        limits = {"latency_ms": options.latency, "size_kb": options.size}
        metadata["sparsity"] = {
            "share": options.sparsity,
            "block": options.block,
            "budget": options.budget,
            **{key: value for key, value in limits.items() if value is not None},
        }
        metadata["profile"] = device_profile(options).name
    if made.tuning is not None and made.tuning.discarded is None:
        metadata["fine_tuning"] = {"epochs": made.tuning.epochs, "samples": made.tuning.samples}
    if made.moved:
        metadata[REARRANGED] = True
    if made.equalized:
        metadata[EQUALIZED] = [printable(v) for v in made.equalized]
    if plan.repeats:
        metadata["repeated_channels"] = {printable(v): pairs for v, pairs in plan.repeats.items()}
    if dataset.preprocessing is not None:
        metadata["preprocessing"] = dataset.preprocessing.metadata()
    return metadata
