"""Real networks, converted dense and sparse: the oracle's bytes at every tier, and in the browser's modules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lacewing
from lacewing.converter.convert import convert
from lacewing.converter.options import ConvertOptions
from lacewing.format import Model
from lacewing.library import available_tiers
from tests.oracle import run
from tests.wasm.module import MODULES
from tests.wasm.module import Session as WasmSession

SMALL = ("mobilenet_imagenet/float/mobilenet_v1_0.25_128_float.onnx", (1, 3, 128, 128), "input", 0.5)
LARGE = [
    ("mobilenet_imagenet/float/mobilenet_v2_1.0_224_float.onnx", (1, 3, 224, 224), "input", 0.0),
    ("squeezenet_imagenet/squeezenet_v1.1_float.onnx", (1, 3, 227, 227), "data", 0.5),
    ("ultralight_face/version-RFB-320_simplified.onnx", (1, 3, 240, 320), "input", 0.5),
]
Network = tuple[str, tuple[int, ...], str, float]


def _compare(network: Network, data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, shape, name, sparsity = network
    rng = np.random.default_rng(1)
    samples = [{name: rng.normal(0, 1, shape).astype(np.float32)} for _ in range(4)]
    target = folder / "model.lace"
    options = ConvertOptions(
        calibration=samples,
        calibration_count=4,
        input_shapes={name: shape},
        ranges="minmax",
        sparsity=sparsity,
    )
    convert(data / source, target, options)
    wanted = run(Model.from_bytes(target.read_bytes()), samples[0])
    results = {}
    for tier in available_tiers():
        monkeypatch.setenv("LACEWING_TIER", tier)
        results[tier] = lacewing.Session(target, threads=2).run(samples[0])
    for module in MODULES:
        results[module] = WasmSession(module, target.read_bytes()).run(samples[0])
    for way, outputs in results.items():
        for output, value in wanted.items():
            assert outputs[output].tobytes() == value.tobytes(), f"{source} {way} {output}"
            assert np.unique(value).size > 10  # a network that says nothing would prove nothing


@pytest.mark.needs_data
def test_mobilenet_v1(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the blocks dropped."""
    _compare(SMALL, data, tmp_path, monkeypatch)


@pytest.mark.needs_data
@pytest.mark.slow
@pytest.mark.parametrize("network", LARGE, ids=lambda network: Path(network[0]).stem)
def test_larger(network: Network, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MobileNet-v2 dense, SqueezeNet and a face detector sparse."""
    _compare(network, data, tmp_path, monkeypatch)
