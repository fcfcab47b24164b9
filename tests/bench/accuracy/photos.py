"""MobileNet-v2 and 500 photos without labels: ``python -m accuracy.photos --output build/bench/photos.json``.

What ``convert`` and ``convert --finetune`` make of four fifths of the photos is judged on the fifth that they did not see, whose
classes are not among the others. Every fifth in turn judges. May be broken off and started again; one that has a result here is
not made anew.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from machine import machine
from torch import Tensor

from accuracy.cifar import BUILD, DATA
from accuracy.measure import OUTPUT, of_session
from lacewing import Session
from lacewing.converter.calibration import Dataset, Preprocessing, open_dataset
from lacewing.converter.convert import quantize_graph
from lacewing.converter.ir import Graph
from lacewing.converter.labels import read_labels
from lacewing.converter.made import Made
from lacewing.converter.options import ConvertOptions
from lacewing.converter.output import write_atomically
from lacewing.converter.progress import silent
from lacewing.converter.source import load_graph, load_training_graph
from lacewing.converter.training.distributed import workers
from lacewing.converter.training.pipeline import fine_tune
from lacewing.converter.training.recipe import Recipe
from lacewing.converter.training.unlabelled import HELD_OUT, expected_accuracy, split, unlabelled_recipe

MODEL = DATA / "mobilenet_imagenet" / "float" / "mobilenet_v2_1.0_224_float.onnx"
PHOTOS = DATA / "imagenet_sample_500"
SPARSITIES = (0.1, 0.2, 0.3)
EPOCHS = 4
CALIBRATION = 64  # photos, the command line's default
FOLDER = BUILD / "photos"


@dataclass(frozen=True)
class Cell:
    """One sparsity, judged by one fifth of the photos, and how long is trained."""

    sparsity: float
    fold: int
    epochs: int = EPOCHS

    @property
    def id(self) -> str:
        """A name for files."""
        return f"{round(100 * self.sparsity)}-f{self.fold}-e{self.epochs}"


def cells() -> list[Cell]:
    """All of them; the first fifth of the photos judges every sparsity before the second judges any."""
    return [Cell(sparsity, fold) for fold in range(HELD_OUT) for sparsity in SPARSITIES]


def turned(count: int, fold: int) -> list[int]:
    """The order of ``count`` samples in which the ``fold``th of the fifths is the one that the converter holds out."""
    return [*range(fold, count), *range(fold)]


def run(cell: Cell, device: str) -> dict[str, Any]:
    """The cell's result, from its file or made now."""
    path = FOLDER / f"{cell.id}.json"
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    started, raw = time.monotonic(), load_training_graph(MODEL, {})
    everything = open_dataset(PHOTOS, {v: raw.shapes[v] for v in raw.inputs}, None, Preprocessing())
    photos = everything.subset(turned(len(everything), cell.fold))
    teach, judge = split(photos)
    calibration = teach.spread(CALIBRATION)
    recipe = unlabelled_recipe(raw, photos, cell.epochs)
    assert recipe.validation is not None
    inputs, given = recipe.validation.batch(range(len(judge)), torch.Generator())
    images, answers = next(iter(inputs.values())), next(iter(given.values()))
    labels = torch.tensor(read_labels(str(PHOTOS / "labels.csv"), judge))
    plain, trained = _plain(cell, calibration), _trained(cell, raw, recipe, calibration, device)
    result = {
        **asdict(cell),
        "device": device,
        "teach": len(teach),
        "judge": len(judge),
        "float": scores(answers, answers, labels),
        "plain": scores(answers, engine_answers(plain, images), labels),
        "trained": scores(answers, engine_answers(trained, images), labels),
        "seconds": round(time.monotonic() - started),
    }
    write_atomically(path, json.dumps(result, indent=1).encode())
    shutil.rmtree(_checkpoint(cell))
    return result


def _plain(cell: Cell, calibration: Dataset) -> Made:
    """``convert``: no training."""
    return quantize_graph(load_graph(MODEL, {}), calibration, ConvertOptions([], sparsity=cell.sparsity))


def _trained(cell: Cell, raw: Graph, recipe: Recipe, calibration: Dataset, device: str) -> Made:
    """``convert --finetune`` without its last step, to take ``_plain`` where that is better on the photos that judge."""
    options = ConvertOptions([], sparsity=cell.sparsity, finetune=True, checkpoint=_checkpoint(cell))
    return fine_tune(raw, calibration, recipe, options, workers(device), silent)


def _checkpoint(cell: Cell) -> Path:
    return FOLDER / cell.id


def engine_answers(made: Made, images: Tensor) -> Tensor:
    """[N][classes]: the engine's scores of ``images`` [N,3,H,W]."""
    with Session(made.model.to_bytes()) as session:
        return of_session(session)(images)


def scores(teacher: Tensor, student: Tensor, labels: Tensor) -> dict[str, float]:
    """Of the answers ``student`` [N][classes]: what the float network's, ``teacher``, expect of them, what ``labels`` [N] say.

    In percent. ``deviation`` is that of a photo's loss of the former, for the error of its mean.
    """
    target = {OUTPUT: teacher}
    expected = expected_accuracy({OUTPUT: student}, target)  # [N]
    lost = expected_accuracy(target, target) - expected
    right = student.argmax(dim=1) == labels
    found = {"expected": expected.mean(), "deviation": lost.std(correction=0), "top1": right.float().mean()}
    return {name: round(100 * float(value), 3) for name, value in found.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes what is missing and time allows, writes all that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, help="begins no training after so many")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args(arguments)
    started = time.monotonic()
    for cell in cells():
        if args.minutes is not None and time.monotonic() - started > 60 * args.minutes:
            break
        result = run(cell, args.device)
        print(cell.id, {key: result[key] for key in ("float", "plain", "trained")}, flush=True)
    rows = [json.loads(p.read_text()) for cell in cells() if (p := FOLDER / f"{cell.id}.json").exists()]
    document = {"machine": machine(), "date": date.today().isoformat(), "rows": rows}
    write_atomically(args.output, (json.dumps(document, indent=1) + "\n").encode())
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
