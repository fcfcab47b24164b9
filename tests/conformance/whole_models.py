"""Writes whole networks and the digests of what the native engine makes of them, for engines that Python cannot load.

``python -m tests.conformance.whole_models FOLDER``: the self-test's models always, and networks converted from
../shared/data where that is. Inputs are those of the vectors. A model that is there already is not converted again.
``images.json`` has digests of what the converter's preprocessing makes of photos.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import lacewing
from lacewing.converter.convert import convert
from lacewing.converter.options import ConvertOptions
from lacewing.format import Model
from lacewing.selftest.models import MODELS
from tests.conformance.images import cases, gray_model
from tests.conformance.inputs import vector_inputs
from tests.conformance.make_vectors import digests
from tests.conftest import DATA

SEED = 7
# file, input, its shape, sparsity
NETWORKS = (
    ("mobilenet_imagenet/float/mobilenet_v2_1.0_224_float.onnx", "input", (1, 3, 224, 224), 0.0),
    ("mobilenet_imagenet/float/mobilenet_v1_0.25_128_float.onnx", "input", (1, 3, 128, 128), 0.5),
    ("squeezenet_imagenet/squeezenet_v1.1_float.onnx", "data", (1, 3, 227, 227), 0.0),
    ("ultralight_face/version-RFB-320_simplified.onnx", "input", (1, 3, 240, 320), 0.0),
)


def _converted(folder: Path, source: str, name: str, shape: tuple[int, ...], sparsity: float) -> Path:
    target = folder / f"{Path(source).stem}.lace"
    if not target.exists():
        rng = np.random.default_rng(1)
        samples = [{name: rng.normal(0, 1, shape).astype(np.float32)} for _ in range(2)]
        options = ConvertOptions(
            calibration=samples,
            calibration_count=len(samples),
            input_shapes={name: shape},
            ranges="minmax",
            sparsity=sparsity,
        )
        convert(DATA / source, target, options)
    return target


def write(folder: Path) -> dict[str, Any]:
    """Makes the files in ``folder`` and its ``models.json``; returns what that holds."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, build in {**MODELS, "gray": gray_model}.items():
        files.append(folder / f"{name}.lace")
        files[-1].write_bytes(build().to_bytes())
    if DATA.is_dir():
        files += [_converted(folder, *network) for network in NETWORKS]
    index = {}
    for file in files:
        inputs = vector_inputs(Model.from_bytes(file.read_bytes()), SEED)
        with lacewing.Session(file) as session:
            index[file.stem] = {"seed": SEED, "outputs": digests(session.run(inputs))}
    (folder / "models.json").write_text(json.dumps(index, indent=1) + "\n")
    shapes = {"classifier": (1, 3, 33, 33), "gray": (1, 1, 28, 28)}
    (folder / "images.json").write_text(json.dumps(cases(shapes), indent=1) + "\n")
    return index


if __name__ == "__main__":
    print(*write(Path(sys.argv[1])))
