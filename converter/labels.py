"""Which class each sample of a dataset belongs to."""

from __future__ import annotations

import csv
from pathlib import Path

from lacewing.converter.calibration import Dataset
from lacewing.converter.errors import CalibrationError

FOLDERS = "folders"  # the value of --labels that takes classes from folder names


def read_labels(source: str, dataset: Dataset) -> list[int]:
    """The class index of every sample, in the dataset's order.

    source: a .csv with columns file and class_index, or "folders": each image's top folder is its class, classes
    numbered in sorted order (or by the names themselves if all are numbers). Raises CalibrationError.
    """
    if dataset.root is None:
        raise CalibrationError("--labels needs a folder of images as --data")
    if source == FOLDERS:
        return _from_folders(dataset)
    return _from_csv(Path(source), dataset, dataset.root)


def _from_folders(dataset: Dataset) -> list[int]:
    folders = [Path(name).parts[0] if len(Path(name).parts) > 1 else "" for name in dataset.names]
    if "" in folders:
        raise CalibrationError(f"{dataset.names[folders.index('')]}: lies in no class folder")
    classes = sorted(set(folders))
    if all(c.isdigit() for c in classes):
        return [int(f) for f in folders]
    return [classes.index(f) for f in folders]


def _from_csv(path: Path, dataset: Dataset, root: Path) -> list[int]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CalibrationError(f"{path}: not a readable labels file ({error})") from error
    known: dict[Path, int] = {}
    for number, row in enumerate(rows, start=2):
        name, index = row.get("file"), row.get("class_index")
        if name is None or index is None or not index.strip().isdigit():
            raise CalibrationError(
                f"{path}, line {number}: needs columns file and class_index (a number from 0)"
            )
        known[(path.parent / name).resolve()] = int(index)
    paths = [(root / name).resolve() for name in dataset.names]
    missing = [p for p in paths if p not in known]
    if missing:
        raise CalibrationError(
            f"{path}: has no label for {missing[0]} ({len(missing)} of {len(paths)} images)"
        )
    return [known[p] for p in paths]
