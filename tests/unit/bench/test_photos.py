"""The benchmark of few photos: who judges whom, and what a table makes of parts of the photos."""

from __future__ import annotations

import numpy as np
import torch
from accuracy.photo_tables import table
from accuracy.photos import cells, scores, turned

from lacewing.converter.calibration import open_dataset
from lacewing.converter.training.unlabelled import HELD_OUT, split


def test_every_sample_judges_once_and_never_what_it_taught():
    count = 4 * HELD_OUT
    everything = open_dataset([{"x": np.full((1, 1), i, np.float32)} for i in range(count)], {"x": (1, 1)})
    judges: list[int] = []
    for fold in range(HELD_OUT):
        parts = split(everything.subset(turned(count, fold)))
        teach, judge = ([int(sample["x"][0, 0]) for sample in part] for part in parts)
        assert sorted(teach + judge) == list(range(count))
        judges += judge
    assert sorted(judges) == list(range(count))


def test_the_first_part_judges_every_sparsity_before_the_second_judges_any():
    folds = [cell.fold for cell in cells()]
    assert folds == sorted(folds) and len({cell.id for cell in cells()}) == len(folds)


def test_scores_of_answers():
    teacher = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]])
    labels, classes = torch.tensor([0, 2]), torch.eye(3)
    right = scores(teacher, classes[[0, 1]], labels)
    assert right == {"expected": 65.0, "deviation": 0.0, "top1": 50.0}
    wrong = scores(teacher, classes[[1, 2]], labels)
    assert wrong == {"expected": 25.0, "deviation": 10.0, "top1": 50.0}


def part(fold, judge, expected, deviation):
    """A result as ``photos.run`` gives it, of a float network without loss and two ways alike."""
    way = {"expected": expected, "deviation": deviation, "top1": expected}
    same = {"expected": 80.0, "deviation": 0.0, "top1": 90.0}
    return {
        "sparsity": 0.1,
        "fold": fold,
        "epochs": 4,
        "judge": judge,
        "float": same,
        "plain": way,
        "trained": way,
    }


def test_parts_are_joined_by_how_many_photos_judged():
    rows = [part(0, 300, 78.0, 10.0), part(1, 100, 74.0, 10.0)]
    text = table({"machine": "this one", "date": "today", "rows": rows})
    line = next(line for line in text.splitlines() if line.startswith("| 10%"))
    assert "| 400 photos, 2 of 5 parts | 80.0 | 77.0 | 77.0 | 3.00 ± 0.50 | 3.00 ± 0.50 | 90.0 |" in line
