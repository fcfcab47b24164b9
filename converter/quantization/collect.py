"""Runs the float network over the calibration data and keeps statistics of every value."""

from __future__ import annotations

import numpy as np

from lacewing.converter.calibration import Dataset
from lacewing.converter.errors import CalibrationError
from lacewing.converter.execute import Executor
from lacewing.converter.ir import Graph
from lacewing.converter.progress import Progress
from lacewing.converter.quantization.statistics import SAMPLE_ELEMENTS, Statistics


def collect_statistics(
    graph: Graph, dataset: Dataset, seed: int, progress: Progress
) -> dict[str, Statistics]:
    """Statistics of every value of ``graph``. Raises CalibrationError where a value is not finite."""
    values = list(graph.shapes)
    executor = Executor(graph, values)
    generator = np.random.default_rng(seed)
    statistics = {v: Statistics(max(1, SAMPLE_ELEMENTS // len(dataset))) for v in values}
    for i, sample in enumerate(dataset):
        for value, array in executor.run(sample).items():
            if not np.isfinite(array).all():
                raise CalibrationError(
                    f"value '{value}' is not finite for {dataset.names[i]}: check the preprocessing and the model"
                )
            statistics[value].add(array, generator)
        progress("calibrate", (i + 1) / len(dataset))
    return statistics
