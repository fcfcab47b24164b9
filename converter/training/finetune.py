"""The whole fine-tuning: choose blocks, train sparse in float, train on with the engine's integers.

raw graph --prune channels, rearrange--> float stage (batch norms, masks, teacher) --passes--> canonical graph
  --calibrate--> plan --> quantized stage (engine's arithmetic, learned scales) --> plan for ``lower``
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lacewing.converter.calibration import Dataset
from lacewing.converter.ir import Graph
from lacewing.converter.options import ConvertOptions
from lacewing.converter.passes import run_passes
from lacewing.converter.progress import Progress
from lacewing.converter.quantization.assign import assign
from lacewing.converter.quantization.collect import collect_statistics
from lacewing.converter.quantization.layerwise import stack
from lacewing.converter.quantization.narrow import narrow
from lacewing.converter.quantization.plan import QuantizationPlan
from lacewing.converter.quantization.ranges import FITTED
from lacewing.converter.sparsity.budget import DENSE, TAUGHT_REACH, TRAINED_REACH, LayerBudget, why_dense
from lacewing.converter.sparsity.channel_pruning import Pruning, plan_pruning
from lacewing.converter.sparsity.rearrange import Rearrangement, rearrange_for
from lacewing.converter.training.checkpoint import Checkpoints, fingerprint, fingerprint_of_plan
from lacewing.converter.training.data import Data, check_divisible
from lacewing.converter.training.distillation import Distillation, answers_of, inner_values
from lacewing.converter.training.distributed import Workers
from lacewing.converter.training.loop import Stage, Trainer, measure
from lacewing.converter.training.masks import BlockMasks, Mask
from lacewing.converter.training.network import Network
from lacewing.converter.training.nncf_engine import NncfNetwork
from lacewing.converter.training.nncf_quantizers import require_nncf
from lacewing.converter.training.one_shot import prune_once
from lacewing.converter.training.quantized import LAYERS, QuantizedNetwork
from lacewing.converter.training.recipe import Recipe
from lacewing.converter.training.recipe_data import as_data
from lacewing.converter.training.reconstruct import reconstruct
from lacewing.converter.training.saliency import Saliency
from lacewing.converter.training.teacher import load_teacher

_SAMPLES = 64  # that blocks are chosen on before training


@dataclass
class FineTuned:
    """A trained network, ready for ``lower``; ``history`` has one entry per epoch of each stage."""

    graph: Graph
    plan: QuantizationPlan
    budgets: dict[str, LayerBudget]
    network: QuantizedNetwork
    history: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    metric: dict[str, float] = field(default_factory=dict)  # of the recipe: "float" before, "quantized" after
    rearrangement: Rearrangement | None = None
    # Layer -> its output channels before and after whole channels went.
    narrowed: dict[str, tuple[int, int]] = field(default_factory=dict)


class FineTuning:
    """One fine-tuning of ``raw``, as ``load_training_graph`` gives it, which stays as it is.

    dataset: calibration samples. Raises ConversionError subclasses for what the user can mend. With a ``checkpoint``
    folder an interrupted training goes on after its last whole epoch, to the same result.
    """

    def __init__(
        self,
        raw: Graph,
        dataset: Dataset,
        recipe: Recipe,
        options: ConvertOptions,
        workers: Workers,
        progress: Progress,
        checkpoint: Path | None = None,
    ) -> None:
        self._source, self._dataset, self._options = copy.deepcopy(raw), dataset, options
        self._raw = self._source  # what is trained: without the channels that go, rearranged
        self._recipe = recipe.seeded(options.seed)
        self._workers, self._progress = workers, progress
        if recipe.engine == "nncf":
            require_nncf()
        shapes = {v: raw.shapes[v] for v in raw.inputs}
        self._data = as_data(recipe.train, shapes, "the recipe's train")
        self._validation: Data | None = None
        if recipe.validation is not None:
            self._validation = as_data(recipe.validation, shapes, "the recipe's validation")
        check_divisible(self._data, recipe.batch_size, workers.world)
        self._teacher: Graph | None = None
        if recipe.teacher is not None:
            self._teacher = load_teacher(recipe.teacher, raw, recipe.outputs)
        self._inputs = stack(dataset, raw, _SAMPLES)
        known = ""
        if checkpoint is not None:  # all samples that are here are read for it
            networks = [raw] if self._teacher is None else [raw, self._teacher]
            known = fingerprint(networks, self._recipe, options, dataset, workers.world)
        self._checkpoints = Checkpoints(checkpoint, known)

    def run(self) -> FineTuned:
        """Trains to the end."""
        torch.manual_seed(self._options.seed)
        saved = self._workers.of_first(self._checkpoints.load)
        pruning, rearrangement = self._workers.of_first(self._planned)
        self._raw, budgets = pruning.graph, pruning.budgets
        if rearrangement is not None:
            self._raw = rearrangement.apply(self._raw)
        self._places = pruning.places(rearrangement.orders if rearrangement else {})
        self._checkpoints.keep_to(fingerprint_of_plan(budgets, self._places), saved)
        metric = self._metric_before()
        masks = self.masks(self._raw, budgets)
        float_stage = self._float_stage(masks, fresh=saved is None)
        if saved is not None:
            float_stage.load(saved["float"], self._workers)
        self._train(
            float_stage, self._untrained(False), lambda s: self._checkpoints.save({"float": s.state()})
        )
        assert isinstance(float_stage.network, Network)
        trained = _canonical(float_stage.network.cpu().to_graph())
        budgets = budgets | _grown(trained, budgets)
        stage = self._quantized_stage(trained, masks, budgets)
        reached = self._train_quantized(stage, float_stage.state(), (saved or {}).get("quantized"))
        if reached is not None:
            metric["quantized"] = reached
        assert isinstance(stage.network, QuantizedNetwork)
        network = stage.network.cpu().eval()
        history = {s.name: s.history for s in (float_stage, stage)}
        return FineTuned(
            trained,
            network.to_plan(),
            budgets,
            network,
            history,
            metric,
            rearrangement,
            pruning.narrowed(self._source),
        )

    def _train_quantized(
        self, stage: Stage, float_state: dict[str, Any], saved: Mapping[str, Any] | None
    ) -> float | None:
        """Trains the stage; by the recipe's metric, which is returned, it is no worse than before."""
        start = self._measured(stage.network)
        if not stage.epochs:
            return start
        untrained = copy.deepcopy(stage.network.state_dict())
        if saved is not None:
            stage.load(saved, self._workers)
        self._train(
            stage,
            self._untrained(True),
            lambda s: self._checkpoints.save({"float": float_state, "quantized": s.state()}),
        )
        reached = self._measured(stage.network)
        if start is None or reached is None or self._workers.of_first(lambda: reached >= start):
            return reached
        stage.network.load_state_dict(untrained)
        return start

    def plan(self) -> Pruning:
        """The channels that go, and block and share of every layer; a benchmark of other patterns has its own."""
        reach = TAUGHT_REACH if self._recipe.loss is None else TRAINED_REACH
        return plan_pruning(self._source, _canonical, self._options, self._inputs, reach, self._progress)

    def masks(self, graph: Graph, budgets: Mapping[str, LayerBudget]) -> BlockMasks:
        """The masks that training keeps to; a benchmark of other patterns has its own."""
        return BlockMasks(graph, budgets)

    def prune(self, graph: Graph, masks: BlockMasks) -> None:
        """Chooses what goes before training, and repairs the weights of ``graph``."""
        masks.set(prune_once(graph, masks.budgets, self._inputs, self._recipe.seed, self._progress))

    def _untrained(self, quantized: bool) -> Graph:
        """The float network as it came; in the quantized stage with the values that this stage has."""
        return _canonical(self._source) if quantized else self._source

    def _planned(self) -> tuple[Pruning, Rearrangement | None]:
        """What goes, and how channels move so that what is worth keeping shares blocks."""
        pruning = self.plan()
        if not self._recipe.rearrange:
            return pruning, None
        return pruning, rearrange_for(pruning.graph, pruning.budgets, self._inputs, self._options)

    def _metric_before(self) -> dict[str, float]:
        found = self._measured(Network(self._source))
        return {} if found is None else {"float": found}

    def _measured(self, network: Network | QuantizedNetwork) -> float | None:
        """The recipe's metric of ``network`` on its validation data, if it has both."""
        if self._validation is None or self._recipe.metric is None:
            return None
        return measure(network, self._validation, self._recipe, self._workers)

    def _float_stage(self, masks: BlockMasks, fresh: bool = True) -> Stage:
        """``fresh``: whether no checkpoint will replace the weights."""
        recipe, epochs = self._recipe, self._recipe.epochs - self._recipe.quantized_epochs
        graph, saliency = self._raw, None
        at_once = recipe.schedule == "one-shot" or not epochs
        if masks.budgets and at_once:
            graph, keep = self._workers.of_first(lambda: self._pruned(masks, repair=fresh))
            masks.set(keep)
        elif masks.budgets:
            saliency = Saliency(recipe.saliency, masks.nodes())
        return Stage("float", Network(graph), recipe, epochs, recipe.learning_rate, masks, saliency)

    def _pruned(self, masks: BlockMasks, repair: bool) -> tuple[Graph, dict[str, Mask]]:
        """The network pruned at once, and what its masks keep."""
        graph, recipe = copy.deepcopy(self._raw), self._recipe
        self.prune(graph, masks)
        if repair and recipe.reconstruct:
            reconstruct(
                graph,
                self._raw,
                masks,
                self._data,
                recipe.reconstruct,
                recipe.seed,
                self._workers.device,
                self._progress,
            )
        return graph, masks.keep

    def _quantized_stage(self, graph: Graph, masks: BlockMasks, budgets: Mapping[str, LayerBudget]) -> Stage:
        plan = self._workers.of_first(lambda: self._quantization(graph))
        for name, layer in plan.layers.items():
            budget = budgets[name]
            layer.block_rows, layer.dense_reason = budget.block.rows, budget.reason
            layer.keep = masks.quads(name)
        recipe = self._recipe
        nncf = recipe.engine == "nncf"
        network = NncfNetwork(graph, plan, self._inputs) if nncf else QuantizedNetwork(graph, plan)
        return Stage(
            "quantized", network, recipe, recipe.quantized_epochs, recipe.quantized_learning_rate, masks
        )

    def _quantization(self, graph: Graph) -> QuantizationPlan:
        """Scales and zero points that the quantized stage begins with."""
        statistics = collect_statistics(graph, self._dataset, self._options.seed, self._progress)
        plan = assign(graph, statistics, self._options.ranges)
        if self._options.ranges == FITTED:
            narrow(graph, plan, self._inputs, self._progress)
        return plan

    def _train(self, stage: Stage, untrained: Graph, save: Callable[[Stage], None]) -> None:
        recipe = self._recipe
        distillation = None
        if recipe.answers or recipe.features:
            teacher = untrained if self._teacher is None else self._teacher
            # Where the student's channels stand in the teacher is known of the source's own values.
            values = [v for v in inner_values(untrained) if v in self._source.shapes]
            network = self._workers.place(Network(teacher))
            distillation = Distillation(network, answers_of(untrained, teacher), values, self._places, recipe)
        trainer = Trainer(self._data, self._validation, distillation, self._workers, self._progress)
        trainer.run(stage, save)


def _canonical(graph: Graph) -> Graph:
    return run_passes(copy.deepcopy(graph))


def _grown(trained: Graph, budgets: Mapping[str, LayerBudget]) -> dict[str, LayerBudget]:
    """Of the layers that were none when ``budgets`` were made: a batch norm without an offset folds into a layer with padding
    behind it, and no longer does when it has learned one."""
    return {
        n.name: LayerBudget(DENSE, 0.0, why_dense(trained, n))
        for n in trained.nodes
        if n.op in LAYERS and n.name not in budgets
    }
