"""From options to a fine-tuned model: the recipe or the images, the processes, the search for a sparsity."""

from __future__ import annotations

from dataclasses import replace

from lacewing.converter.calibration import Dataset, open_dataset
from lacewing.converter.ir import Graph
from lacewing.converter.lowering.lower import lower
from lacewing.converter.made import Made, Tuning
from lacewing.converter.options import ConvertOptions
from lacewing.converter.progress import Progress
from lacewing.converter.quantization.layerwise import stack, walk
from lacewing.converter.training.distributed import Workers
from lacewing.converter.training.finetune import FineTuned, FineTuning
from lacewing.converter.training.recipe import Recipe
from lacewing.converter.training.unlabelled import expected_accuracy, split, unlabelled_recipe

_NOISE_SAMPLES = 32  # that the report's signal to noise is measured on


def fine_tune(
    raw: Graph,
    dataset: Dataset,
    recipe: Recipe,
    options: ConvertOptions,
    workers: Workers,
    progress: Progress,
) -> Made:
    """Trains ``raw`` (of ``load_training_graph``) on what ``prepared`` gives and lowers the result."""
    tuning = FineTuning(raw, dataset, recipe, options, workers, progress, options.checkpoint)
    return _made(tuning.run(), dataset, recipe, options.sparsity, progress, workers.leads)


def prepared(raw: Graph, options: ConvertOptions) -> tuple[Dataset, Recipe]:
    """(calibration samples, recipe). Without a recipe all samples teach but those that judge."""
    shapes = {v: raw.shapes[v] for v in raw.inputs}
    if isinstance(options.finetune, Recipe):
        recipe = options.finetune
        dataset = open_dataset(options.calibration, shapes, options.calibration_count, options.preprocessing)
        if options.epochs is not None:
            recipe = replace(
                recipe, epochs=options.epochs, quantized_epochs=min(recipe.quantized_epochs, options.epochs)
            )
        return dataset, recipe
    everything = open_dataset(options.calibration, shapes, None, options.preprocessing)
    recipe = unlabelled_recipe(raw, everything, options.epochs)
    train, _ = split(everything)
    return train.spread(options.calibration_count), recipe


def _made(
    tuned: FineTuned, dataset: Dataset, recipe: Recipe, sparsity: float, progress: Progress, leads: bool
) -> Made:
    graph, plan = tuned.graph, tuned.plan
    model = lower(graph, plan)
    for node in graph.nodes:
        if node.name in plan.layers:
            layer = plan.layers[node.name]
            node.weights = {"weight": layer.weight, "bias": layer.bias.astype("float32")}
    inputs = stack(dataset, graph, _NOISE_SAMPLES)
    sqnr = walk(graph, plan, inputs, lambda *_: None, progress, correct=False)
    tuning = Tuning(
        tuned.history,
        tuned.metric,
        recipe.epochs,
        len(recipe.train),
        len(recipe.validation) if recipe.validation is not None else 0,
        labelled=recipe.metric is not expected_accuracy,
        leads=leads,
    )
    moved = tuned.rearrangement
    narrowed = tuned.narrowed
    return Made(graph, model, plan, tuned.budgets, sqnr, dataset, moved, tuning, sparsity, narrowed=narrowed)
