"""``--max-drop``: the sparsest model that loses no more than so many points on samples that it was not made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

import lacewing
from lacewing.converter.errors import ConversionError
from lacewing.converter.made import Attempt, Made
from lacewing.converter.training.data import Data, in_order
from lacewing.converter.training.recipe import Metric, Outputs
from lacewing.converter.training.recipe_functions import mean_metric

STEP = 0.05  # of the sparsities tried
_MOST = 18  # steps: 90 %
_BATCH = 32


def sparsest(
    make: Callable[[float], Made], drop: Callable[[Made], float], limit: float, samples: int
) -> Made:
    """Bisects the grid of sparsities; larger ones are taken to lose more.

    make: a model of a sparsity; drop: points that it loses on ``samples`` held-out samples. Raises ConversionError
    where even the dense model loses more than ``limit`` points.
    """
    attempts: list[Attempt] = []

    def attempt(step: int) -> tuple[Made, bool]:
        made = make(step * STEP)
        attempts.append(Attempt(round(step * STEP, 2), round(drop(made), 3)))
        return made, attempts[-1].drop <= limit

    best, fits = attempt(0)
    if not fits:
        raise ConversionError(
            f"--max-drop {limit}: even without sparsity the model loses {attempts[-1].drop:.2f} points on "
            f"{samples} held-out samples: give more or better calibration data, or --finetune"
        )
    low, high, step = 0, _MOST + 1, 2
    while high - low > 1:
        made, fits = attempt(step)
        if fits:
            best, low = made, step
        else:
            high = step
        # Doubling first: each attempt may be a training, and most networks have little to spare.
        step = min(low * 2, high - 1) if high > _MOST and low else (low + high) // 2
    return replace(best, attempts=attempts, judged_by=samples)


def engine_metric(made: Made, data: Data, metric: Metric) -> float:
    """The mean of ``metric`` over ``data`` with the engine's own answers."""
    with lacewing.Session(made.model.to_bytes()) as session:
        # A file's names are the graph's without control characters.
        sources = dict(zip((v.name for v in session.inputs), made.graph.inputs, strict=True))
        results = dict(zip(made.graph.outputs, (v.name for v in session.outputs), strict=True))

        def answers(inputs: Mapping[str, Tensor]) -> Outputs:
            rows = [
                session.run({name: inputs[v][i : i + 1].numpy() for name, v in sources.items()})
                for i in range(len(next(iter(inputs.values()))))
            ]
            return {v: torch.from_numpy(np.concatenate([r[n] for r in rows])) for v, n in results.items()}

        return mean_metric(metric, ((answers(inputs), target) for inputs, target in in_order(data, _BATCH)))
