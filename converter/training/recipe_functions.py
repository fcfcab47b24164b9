"""Calls what a recipe brings along, loss and metric, checks what they give, and says what failed in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lacewing.converter.errors import ConversionError, TrainingError
from lacewing.converter.training.recipe import Loss, Metric, Outputs


def mean_metric(metric: Metric, answered: Iterable[tuple[Outputs, Any]]) -> float:
    """The mean of ``metric`` over all samples; answered: (outputs, target) of each batch. 0 without samples.

    Raises TrainingError where the metric fails or gives anything but [N] finite numbers.
    """
    total, count = 0.0, 0
    for outputs, target in answered:
        scores = _asked("metric", metric, outputs, target)
        samples = len(next(iter(outputs.values())))
        if not isinstance(scores, Tensor) or tuple(scores.shape) != (samples,):
            raise TrainingError(
                f"the recipe's metric gave {_kind(scores)} for {samples} samples: it gives a tensor [N], a number for each"
            )
        bad = torch.isfinite(scores).logical_not().nonzero()
        if len(bad):
            place = int(bad[0])
            raise TrainingError(
                f"the recipe's metric gave {float(scores[place])} for sample {count + place}: it gives finite numbers, "
                "or no mean can be compared; check the metric, and the network's outputs for that sample"
            )
        total, count = total + float(scores.double().sum()), count + samples
    return total / max(count, 1)


def loss_of(loss: Loss, outputs: Outputs, target: Any) -> Tensor:
    """What ``loss`` gives. Raises TrainingError where it fails, gives no scalar or has no gradient."""
    found = _asked("loss", loss, outputs, target)
    if not isinstance(found, Tensor) or found.numel() != 1:
        raise TrainingError(
            f"the recipe's loss gave {_kind(found)}: it gives a tensor of one number for the batch"
        )
    if torch.is_grad_enabled() and not found.requires_grad:
        raise TrainingError(
            "the recipe's loss does not follow from the outputs by anything that has a gradient"
        )
    return found.reshape(())


def _asked(what: str, function: Callable[[Outputs, Any], Tensor], outputs: Outputs, target: Any) -> Any:
    def given() -> str:
        shapes = listed({name: tuple(value.shape) for name, value in outputs.items()})
        return f"the outputs are {shapes}; the target is {_kind(target)}"

    with blamed_on(f"the recipe's {what}", given):
        return function(outputs, target)


@contextmanager
def blamed_on(what: str, given: Callable[[], str]) -> Iterator[None]:
    """Raises TrainingError for whatever is raised within, naming ``what`` and what it was ``given``."""
    try:
        yield
    except ConversionError:
        raise
    except Exception as error:
        raise TrainingError(f"{what} failed with {type(error).__name__}: {error} ({given()})") from error


def listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Names and shapes, for errors."""
    return ", ".join(f"{name!r} {list(shape)}" for name, shape in shapes.items())


def _kind(value: Any) -> str:
    return f"a tensor {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
