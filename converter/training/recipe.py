"""What a recipe file says: data, loss, metric, and how long to train. docs/training.md has an example."""

from __future__ import annotations

import copy
import math
import numbers
import operator
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from lacewing.converter.errors import OptionError
from lacewing.converter.training.saliency import SALIENCIES
from lacewing.converter.training.schedule import SCHEDULES
from lacewing.converter.user_file import defined_in

Outputs = dict[str, Tensor]
Loss = Callable[[Outputs, Any], Tensor]  # (outputs, target) -> scalar
Metric = Callable[[Outputs, Any], Tensor]  # (outputs, target) -> [N], one number per sample; larger is better
PRECISIONS = ("float32", "bfloat16")
ENGINES = ("lacewing", "nncf")
OUTPUTS = ("classes", "values")
# Fields that act with one schedule only.
_ACTS_WITH = dict.fromkeys(("saliency", "ramp", "updates", "regrow"), "cubic") | {"reconstruct": "one-shot"}


@dataclass(frozen=True)
class Recipe:
    """How to fine-tune. Raises OptionError for a bad value.

    train, validation: map-style torch Datasets of (input, target), or objects with ``__len__`` and
    ``batch(indices, generator)``. Without ``loss`` the float network alone teaches, and no target is needed.
    ``teacher``, a torch module or the path of a model with the same inputs and outputs, answers instead of the float network.
    ``epochs`` counts both stages; the last ``quantized_epochs`` compute with the engine's integers.
    """

    train: Any
    validation: Any = None
    loss: Loss | None = None
    metric: Metric | None = None
    teacher: str | Path | nn.Module | None = None
    epochs: int = 8
    quantized_epochs: int = 2
    batch_size: int = 128
    learning_rate: float = 2e-3
    quantized_learning_rate: float = 5e-5
    weight_decay: float = 1e-4
    answers: float = 1.0  # weight of the distance to the teacher's outputs
    features: float = 1.0  # weight of SquareHead
    temperature: float = 2.0
    outputs: str = "classes"  # what a row [N, C] holds: scores of classes, whose softmax counts, or values that do themselves
    saliency: str = "second"
    schedule: str = "one-shot"
    ramp: float = 0.5  # of the float stage, in which blocks go
    updates: int = 16  # choices of blocks in that time
    regrow: float = 0.1  # of the kept blocks that each choice may bring back
    reconstruct: int = 0  # passes that mend stretches of layers after pruning at once, on top of ``epochs``
    rearrange: bool = True
    precision: str = "float32"  # of the float stage; the quantized one is float32
    engine: str = "lacewing"  # whose fake quantizers the quantized stage trains with
    watch: bool = True  # measure the metric after every epoch too, not only at the end
    seed: int = field(default=0, init=False, compare=False)  # the options' (``seeded``)

    def __post_init__(self) -> None:
        for entry in fields(self):
            if entry.type in _PLAIN:
                given = getattr(self, entry.name)
                object.__setattr__(self, entry.name, _PLAIN[entry.type](entry.name, given))
        _one_of("saliency", self.saliency, SALIENCIES)
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("engine", self.engine, ENGINES)
        _one_of("outputs", self.outputs, OUTPUTS)
        if not 0 <= self.quantized_epochs <= self.epochs or self.epochs < 1:
            raise OptionError(
                f"recipe: epochs {self.epochs} must be at least 1 and hold the {self.quantized_epochs} quantized ones"
            )
        for name in ("reconstruct", "weight_decay", "answers", "features"):
            if getattr(self, name) < 0:
                raise OptionError(f"recipe: {name} must be 0 or more, not {getattr(self, name)}")
        for name in ("batch_size", "updates", "learning_rate", "quantized_learning_rate", "temperature"):
            if not getattr(self, name) > 0:
                raise OptionError(f"recipe: {name} must be above 0, not {getattr(self, name)}")
        for name in ("ramp", "regrow"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"recipe: {name} is a share from 0 to 1, not {getattr(self, name)}")
        for name, schedule in _ACTS_WITH.items():
            if self.schedule != schedule and getattr(self, name) != getattr(type(self), name):
                raise OptionError(
                    f"recipe: {name} acts with schedule={schedule!r} only: set that, or leave it out"
                )
        if self.schedule == "cubic" and self.epochs == self.quantized_epochs:
            raise OptionError(
                f"recipe: schedule='cubic' takes blocks out in float epochs, and all {self.epochs} are quantized ones: give more epochs"
            )
        if self.loss is None and not (self.answers or self.features):
            raise OptionError("recipe: nothing to learn from: give a loss, or weigh answers or features")
        self._check_teacher()
        if self.metric is not None and self.validation is None:
            raise OptionError("recipe: a metric needs validation data")

    def seeded(self, seed: int) -> Recipe:
        """The same recipe with another seed."""
        found = copy.copy(self)
        object.__setattr__(found, "seed", seed)
        return found

    def _check_teacher(self) -> None:
        if self.teacher is None:
            return
        if not isinstance(self.teacher, (str, Path, nn.Module)):
            raise OptionError(
                f"recipe: teacher is a torch module or the path of a model, not {type(self.teacher).__name__}"
            )
        if not self.answers or self.features:
            raise OptionError(
                "recipe: of another teacher only the answers are compared: set features=0, and answers above 0"
            )


def load_recipe(path: Path) -> Recipe:
    """Runs the file and calls its ``recipe()``. Raises OptionError with what is wrong in it."""
    if not path.is_file():
        raise OptionError(f"--finetune {path}: no such file")
    try:
        function = defined_in(path, "recipe")
        found = function() if callable(function) else None
    except OptionError:
        raise
    except Exception as error:
        raise OptionError(f"{path}: the recipe failed with {type(error).__name__}: {error}") from error
    if not isinstance(found, Recipe):
        raise OptionError(f"{path}: a recipe defines `def recipe() -> Recipe:` (lacewing.converter.training)")
    return found


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise OptionError(f"recipe: {name} is one of {', '.join(allowed)}, not {value!r}")


def _whole(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise OptionError(f"recipe: {name} is a whole number, not {value!r}") from None


def _real(name: str, value: Any) -> float:
    if not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise OptionError(f"recipe: {name} is a finite number, not {value!r}")
    return value if isinstance(value, int) else float(value)


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise OptionError(f"recipe: {name} is True or False, not {value!r}")
    return bool(value)


# Numbers of numpy become Python's: a checkpoint holds those alone.
_PLAIN: dict[Any, Callable[[str, Any], Any]] = {"int": _whole, "float": _real, "bool": _switch}
