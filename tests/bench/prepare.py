"""Builds the files that the x86 benchmark compares: the same networks for every runtime, under build/bench/models.

MobileNet-v1 has random weights (it has no float source of a size that can be had); MobileNet-v2 is the pretrained float
network, its int8 ONNX (QDQ) made here by onnxruntime's own static quantization and its int8 TFLite the publisher's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from networks import mobilenet_v1_onnx, mobilenet_v1_tflite
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mobilenet_imagenet"
V2_FLOAT = DATA / "float" / "mobilenet_v2_1.0_224_float.onnx"
V2_TFLITE = DATA / "tflite" / "tf2_mobilenet_v2_1.0_224_ptq.tflite"
INPUT_SHAPE = (1, 3, 224, 224)


@dataclass(frozen=True)
class Network:
    """One network as every runtime reads it."""

    name: str
    float_onnx: Path
    qdq_onnx: Path
    tflite: Path
    calibration: Path  # .npz of float32 [N,3,224,224] under the input's name


class _Random(CalibrationDataReader):
    def __init__(self, samples: dict[str, np.ndarray]) -> None:
        self._rows: Iterator[dict[str, np.ndarray]] = (
            {name: array[i : i + 1] for name, array in samples.items()}
            for i in range(len(next(iter(samples.values()))))
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._rows, None)


def mobilenet_v1(folder: Path) -> Network:
    """MobileNet-v1 1.0/224 with random weights."""
    float_onnx = folder / "mobilenet_v1.onnx"
    if not float_onnx.exists():
        mobilenet_v1_onnx(float_onnx)
        mobilenet_v1_tflite(folder / "mobilenet_v1_int8.tflite")
    return _complete("mobilenet_v1_1.0_224", float_onnx, folder / "mobilenet_v1_int8.tflite", folder)


def mobilenet_v2(folder: Path) -> Network:
    """The pretrained MobileNet-v2 1.0/224; needs the shared data."""
    if not V2_FLOAT.exists():
        raise FileNotFoundError(
            f"{V2_FLOAT} is missing: the benchmark of MobileNet-v2 needs the project's model files"
        )
    float_onnx = folder / "mobilenet_v2.onnx"
    if not float_onnx.exists():
        model = onnx.load(V2_FLOAT)
        for value in [*model.graph.input, *model.graph.output]:
            value.type.tensor_type.shape.dim[0].Clear()
            value.type.tensor_type.shape.dim[0].dim_value = 1
        onnx.save(model, float_onnx)
    return _complete("mobilenet_v2_1.0_224", float_onnx, V2_TFLITE, folder)


def _complete(name: str, float_onnx: Path, tflite: Path, folder: Path) -> Network:
    calibration = folder / "calibration.npz"
    if not calibration.exists():
        rng = np.random.default_rng(0)
        np.savez(calibration, input=rng.uniform(-1, 1, (8, *INPUT_SHAPE[1:])).astype(np.float32))
    qdq = float_onnx.with_name(float_onnx.stem + "_qdq.onnx")
    if not qdq.exists():
        logging.getLogger().setLevel(logging.ERROR)
        quantize_static(
            float_onnx,
            qdq,
            _Random(dict(np.load(calibration))),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    return Network(name, float_onnx, qdq, tflite, calibration)
