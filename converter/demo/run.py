"""Trains, converts at several sparsities, measures against onnxruntime in one interleaved run, writes a report."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.bench.measure import Target, interleave, probe
from lacewing.bench.peers import LACEWING, PEERS
from lacewing.converter.convert import convert
from lacewing.converter.demo import digits
from lacewing.converter.options import ConvertOptions
from lacewing.converter.progress import Progress
from lacewing.session import Session

SPARSITIES = (0.0, 0.5, 0.75)
CALIBRATION_IMAGES = 256
ROUNDS, SECONDS = 10, 2.0  # of the measurement, per model

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Row:
    """One line of the demo's table; ``drop`` is in points against the float network."""

    name: str
    file: str
    accuracy: float  # percent of the held-out digits
    drop: float
    bytes: int
    median_ms: float
    first_ms: float
    speedup: float  # over onnxruntime's int8


def run(folder: Path, progress: Progress, seed: int = 0) -> list[Row]:
    """Everything, into ``folder``: digits.onnx, its int8 ONNX twin, three .lace files. Returns the table."""
    folder.mkdir(parents=True, exist_ok=True)
    with _quiet():
        return _run(folder, progress, seed)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences torch's exporter and onnxruntime's quantizer, which warn about what the user cannot change."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _run(folder: Path, progress: Progress, seed: int) -> list[Row]:
    data = digits.load(seed)
    float_onnx = folder / "digits.onnx"
    network = digits.train(data, float_onnx, progress, seed)
    calibration = data.train_images[:CALIBRATION_IMAGES]
    int8_onnx = _onnxruntime_int8(float_onnx, folder / "digits_int8.onnx", calibration)
    files = {"float32 ONNX": float_onnx, "int8 ONNX": int8_onnx}
    for sparsity in SPARSITIES:
        name = f"lace {sparsity:.0%} sparse" if sparsity else "lace dense"
        files[name] = folder / f"digits_{round(sparsity * 100)}.lace"
        samples = [{"image": image[None]} for image in calibration]
        options = ConvertOptions(
            samples,
            calibration_count=len(samples),
            sparsity=sparsity,
            finetune=digits.recipe(data) if sparsity else False,
            input_shapes={"image": samples[0]["image"].shape},
            seed=seed,
        )
        source = network if sparsity else float_onnx  # the module has its batch norms still, to train with
        convert(source, files[name], options, partial(_prefixed, progress, name))
    return _measure(files, data, progress)


def _prefixed(progress: Progress, name: str, stage: str, share: float) -> None:
    progress(f"{name}: {stage}", share)


def _measure(files: dict[str, Path], data: digits.Digits, progress: Progress) -> list[Row]:
    targets = {
        name: Target(LACEWING if path.suffix == ".lace" else PEERS["onnxruntime"], path, threads=1)
        for name, path in files.items()
    }
    for done, target in enumerate(targets.values()):
        progress("first results", done / len(targets))
        probe(target)
    progress("measuring", 0.0)
    interleave(list(targets.values()), ROUNDS, SECONDS)
    progress("measuring", 1.0)
    accuracies = {name: _accuracy(path, data) for name, path in files.items()}
    baseline = targets["int8 ONNX"].median()
    return [
        Row(
            name,
            path.name,
            accuracies[name],
            accuracies["float32 ONNX"] - accuracies[name],
            path.stat().st_size,
            targets[name].median(),
            targets[name].probe["first_ms"],
            baseline / targets[name].median(),
        )
        for name, path in files.items()
    ]


def _accuracy(path: Path, data: digits.Digits) -> float:
    predict = _lacewing(path) if path.suffix == ".lace" else _onnxruntime(path)
    right = sum(
        int(int(predict(image[None]).argmax()) == int(label))
        for image, label in zip(data.test_images, data.test_labels, strict=True)
    )
    return 100.0 * right / len(data.test_labels)


def _lacewing(path: Path) -> Callable[[Array], Array]:
    session = Session(path)
    return lambda image: next(iter(session.run({"image": image}).values()))


def _onnxruntime(path: Path) -> Callable[[Array], Array]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda image: np.asarray(session.run(["logits"], {"image": image})[0])


def _onnxruntime_int8(source: Path, output: Path, images: Array) -> Path:
    """onnxruntime's own static quantization: per-channel int8 weights, uint8 activations, QDQ."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows = iter([{"image": image[None]} for image in images])

        def get_next(self) -> dict[str, Array] | None:
            return next(self.rows, None)

    quantize_static(
        source,
        output,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return output


def as_json(rows: list[Row]) -> list[dict[str, Any]]:
    """The table as plain data."""
    return [asdict(row) for row in rows]
