"""One stage of training: epochs over the data, with masks, teacher, validation and checkpoints."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lacewing.converter.errors import TrainingError
from lacewing.converter.progress import Progress
from lacewing.converter.training.batch_norms import measure_moments
from lacewing.converter.training.data import Data, batches, in_order, moved, steps_per_epoch
from lacewing.converter.training.distillation import Distillation
from lacewing.converter.training.distributed import Workers
from lacewing.converter.training.masks import BlockMasks, Mask
from lacewing.converter.training.network import Network
from lacewing.converter.training.quantized import QuantizedNetwork
from lacewing.converter.training.randomness import generator_of, seeded_by
from lacewing.converter.training.recipe import Recipe
from lacewing.converter.training.recipe_functions import loss_of, mean_metric
from lacewing.converter.training.saliency import Saliency
from lacewing.converter.training.schedule import Choice, CubicSchedule, learning_rate

_GRADIENT_NORM = 5.0  # at which gradients are cut
_MOMENTS_BATCHES = 32  # that the moments of batch norms are measured on
_SCALE_RATE = 5.0  # learning rate of the logarithms of scales, in those of weights
_STEP = 1  # tells the random numbers of a step, which a loss may draw from, from those of its batch


@dataclass
class Stage:
    """A network, what it is trained with, and how far it is."""

    name: str  # "float" or "quantized"
    network: Network | QuantizedNetwork
    recipe: Recipe
    epochs: int
    rate: float  # peak learning rate
    masks: BlockMasks
    saliency: Saliency | None = None  # None: the masks stay
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)  # one per epoch

    def __post_init__(self) -> None:
        scales: list[nn.Parameter] = []
        weights: list[nn.Parameter] = []
        free: list[nn.Parameter] = []
        for name, parameter in self.network.named_parameters():
            decays = parameter.dim() > 1 and "_quantizers." not in name  # those hold NNCF's scales
            kind = scales if name == "log_scales" else (weights if decays else free)
            kind.append(parameter)
        decay = self.recipe.weight_decay
        groups = [
            {"params": weights, "rate": 1.0, "weight_decay": decay},
            {"params": free, "rate": 1.0, "weight_decay": 0.0},
            {"params": scales, "rate": _SCALE_RATE, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=self.rate)

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs to go on after an epoch."""
        return {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "keep": {name: torch.from_numpy(k) for name, k in self.masks.keep.items()},
            "saliency": self.saliency.state() if self.saliency else {},
            "history": self.history,
        }

    def load(self, state: Mapping[str, Any], workers: Workers) -> None:
        """Goes on from ``state``, on the workers' device."""
        # The optimizer's moments follow the parameters only if those are there before.
        workers.place(self.network)
        self.epoch, self.history = state["epoch"], state["history"]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.masks.set({name: k.numpy() for name, k in state["keep"].items()})
        if self.saliency:
            self.saliency.load(state["saliency"], workers.device)


class Trainer:
    """What all stages share."""

    def __init__(
        self,
        data: Data,
        validation: Data | None,
        teacher: Distillation | None,
        workers: Workers,
        progress: Progress,
    ) -> None:
        self._data, self._validation, self._teacher = data, validation, teacher
        self._workers, self._progress = workers, progress

    def run(self, stage: Stage, save: Callable[[Stage], None]) -> None:
        """Trains the stage to its end; ``save`` is called after each epoch. Raises TrainingError."""
        wrapped = self._workers.wrap(self._workers.place(stage.network))
        while stage.epoch < stage.epochs:
            loss = self._epoch(stage, wrapped)
            stage.epoch += 1
            if stage.epoch == stage.epochs or self._watches(stage):
                self._measure_moments(stage)
            stage.history.append({"loss": loss, "sparsity": stage.masks.sparsity(), **self._validated(stage)})
            self._workers.share(stage.network)  # each followed the moments of its own batches
            if self._workers.leads:
                save(stage)
            self._workers.wait()

    def _epoch(self, stage: Stage, wrapped: torch.nn.Module) -> float:
        recipe, per_epoch = stage.recipe, steps_per_epoch(self._data, stage.recipe.batch_size)
        total = per_epoch * stage.epochs
        choices = CubicSchedule(recipe.ramp, recipe.updates).choices(total) if stage.saliency else {}
        losses = 0.0
        parts = batches(
            self._data, recipe.batch_size, recipe.seed, stage.epoch, self._workers.rank, self._workers.world
        )
        for i, (inputs, target) in enumerate(parts):
            step = stage.epoch * per_epoch + i
            if step in choices:
                self._choose(stage, choices[step])
            for group in stage.optimizer.param_groups:
                group["lr"] = stage.rate * group["rate"] * learning_rate(step / total)
            with seeded_by(generator_of(recipe.seed, stage.epoch, i, self._workers.rank, _STEP)):
                losses += self._step(stage, wrapped, inputs, target)
            self._progress(f"{stage.name} training", (step + 1) / total)
        return self._workers.mean(losses, per_epoch)

    def _step(
        self, stage: Stage, wrapped: torch.nn.Module, inputs: Mapping[str, Tensor], target: Any
    ) -> float:
        stage.network.train()
        loss = self._loss(stage, wrapped, moved(inputs, self._workers.device), target)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} in epoch {stage.epoch + 1} of the {stage.name} stage: "
                "lower the recipe's learning_rate, and check the data and the loss"
            )
        stage.optimizer.zero_grad(set_to_none=True)
        # torch gives ``backward`` no types.
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(stage.network.parameters(), _GRADIENT_NORM)
        if stage.saliency is not None and isinstance(stage.network, Network):
            stage.saliency.observe(stage.network)
        stage.optimizer.step()
        stage.masks.apply(stage.network)
        return value

    def _loss(self, stage: Stage, wrapped: torch.nn.Module, inputs: dict[str, Tensor], target: Any) -> Tensor:
        wanted = self._teacher.wanted(len(next(iter(inputs.values())))) if self._teacher else {}
        half = stage.recipe.precision == "bfloat16" and isinstance(stage.network, Network)
        with torch.autocast(self._workers.device.type, torch.bfloat16, enabled=half):
            results = wrapped(inputs, wanted)
            distance = self._teacher.loss(inputs, results) if self._teacher else torch.zeros(())
        if stage.recipe.loss is None:
            return distance
        outputs = {v: results[v].float() for v in stage.network.graph.outputs}
        own = loss_of(stage.recipe.loss, outputs, _to(target, self._workers.device))
        return distance.to(self._workers.device) + own

    def _choose(self, stage: Stage, choice: Choice) -> None:
        stage.masks.set(self._workers.of_first(lambda: self._chosen(stage, choice)))
        stage.masks.apply(stage.network)

    def _chosen(self, stage: Stage, choice: Choice) -> dict[str, Mask]:
        assert stage.saliency is not None and isinstance(stage.network, Network)
        scores, growth = stage.saliency.scores(stage.network), stage.saliency.growth(stage.network)
        return stage.masks.chosen(scores, choice.share, growth, stage.recipe.regrow * choice.regrowth)

    def _measure_moments(self, stage: Stage) -> None:
        """All processes measure the same batches, so that they validate the same network."""
        network, recipe = stage.network, stage.recipe
        if not isinstance(network, Network) or not network.has_batch_norms:
            return
        parts = batches(self._data, recipe.batch_size, recipe.seed, stage.epoch - 1)
        some = itertools.islice(parts, _MOMENTS_BATCHES)
        measure_moments(network, (moved(inputs, self._workers.device) for inputs, _ in some))

    def _watches(self, stage: Stage) -> bool:
        return self._validation is not None and stage.recipe.metric is not None and stage.recipe.watch

    def _validated(self, stage: Stage) -> dict[str, float]:
        if not self._watches(stage):
            return {}
        assert self._validation is not None
        return {"metric": measure(stage.network, self._validation, stage.recipe, self._workers)}


def measure(network: Network | QuantizedNetwork, data: Data, recipe: Recipe, workers: Workers) -> float:
    """The mean of the recipe's metric over all of ``data``, in evaluation mode."""
    assert recipe.metric is not None
    network.to(workers.device).eval()
    with torch.no_grad():
        answered = (
            (network(moved(inputs, workers.device)), _to(target, workers.device))
            for inputs, target in in_order(data, recipe.batch_size)
        )
        return mean_metric(recipe.metric, answered)


def _to(target: Any, device: torch.device) -> Any:
    if isinstance(target, Tensor):
        return target.to(device)
    if isinstance(target, Mapping):
        return {k: _to(v, device) for k, v in target.items()}
    if isinstance(target, (list, tuple)):
        parts = [_to(v, device) for v in target]
        return type(target)(*parts) if hasattr(target, "_fields") else type(target)(parts)  # a namedtuple
    return target
