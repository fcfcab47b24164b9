"""The networks that an emulated board runs: real ones, converted here, dense and with half of their blocks gone."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lacewing.converter.convert import convert
from lacewing.converter.options import ConvertOptions
from lacewing.format import Model
from lacewing.format.description import ENCODINGS

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Network:
    """A float network in the data folder and its one input."""

    source: str  # .onnx, or .th: a checkpoint of ResNet-20
    input: str
    shape: tuple[int, int, int, int]


NETWORKS = {
    "mobilenet_v1": Network(
        "mobilenet_imagenet/float/mobilenet_v1_0.25_128_float.onnx", "input", (1, 3, 128, 128)
    ),
    "mobilenet_v2": Network(
        "mobilenet_imagenet/float/mobilenet_v2_1.0_224_float.onnx", "input", (1, 3, 224, 224)
    ),
    "squeezenet": Network("squeezenet_imagenet/squeezenet_v1.1_float.onnx", "data", (1, 3, 227, 227)),
    "ultralight_face": Network("ultralight_face/version-RFB-320_simplified.onnx", "input", (1, 3, 240, 320)),
    "resnet20": Network("resnet_cifar10/resnet20-12fca82f.th", "x", (1, 3, 32, 32)),
}


def inputs(name: str) -> dict[str, Array]:
    """The one sample that a network is run on."""
    network = NETWORKS[name]
    return {network.input: np.random.default_rng(2).normal(0, 1, network.shape).astype(np.float32)}


def write(name: str, data: Path, folder: Path) -> dict[str, Path]:
    """Converts a network; returns the files of its dense and its thinned version by name."""
    network = NETWORKS[name]
    source = data / network.source
    if source.suffix == ".th":
        source = _resnet20_onnx(source, folder / f"{name}.onnx")
    rng = np.random.default_rng(1)
    samples = [{network.input: rng.normal(0, 1, network.shape).astype(np.float32)} for _ in range(4)]
    options = ConvertOptions(samples, calibration_count=4, input_shapes={network.input: network.shape})
    files = {f"{name}_{kind}": folder / f"{name}_{kind}.lace" for kind in ("dense", "half")}
    dense, half = files.values()
    convert(source, dense, options)
    half.write_bytes(thinned(Model.from_bytes(dense.read_bytes())).to_bytes())
    return files


def thinned(model: Model) -> Model:
    """The same network with a random half of every dense layer's blocks gone: no accuracy, but real sparse layers."""
    rng = np.random.default_rng(3)
    for op in model.ops:
        if op.kind != "conv" or op.attributes["encoding"] != ENCODINGS["dense"]:
            continue
        rows = len(op.data["bias"]) // op.attributes["block_rows"]
        blocks = op.data["weights"].reshape(rows, -1, *op.data["weights"].shape[1:])  # [rows][K4][R][4]
        kept = (rng.random(blocks.shape[:2]) < 0.5) & blocks.any(axis=(2, 3))
        bits = np.zeros((rows, -(-kept.shape[1] // 8) * 8), bool)
        bits[:, : kept.shape[1]] = kept
        op.attributes["encoding"] = ENCODINGS["bitmask"]
        op.data["mask"] = np.packbits(bits, axis=1, bitorder="little")
        op.data["weights"] = blocks[kept]
    return model


class _Block(nn.Module):
    """Two 3x3 convolutions and a shortcut that subsamples and pads channels where the shape changes."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.stride, self.pad = (1, 0) if c_in == c_out else (2, (c_out - c_in) // 2)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.stride == 2:
            x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return torch.relu(x + y)


class _ResNet20(nn.Module):
    """Arxiv 1512.03385, section 4.2, under the names of the checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(_Block(16, 16), _Block(16, 16), _Block(16, 16))
        self.layer2 = nn.Sequential(_Block(16, 32), _Block(32, 32), _Block(32, 32))
        self.layer3 = nn.Sequential(_Block(32, 64), _Block(64, 64), _Block(64, 64))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer3(self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x))))))
        return self.linear(y.mean((2, 3)))


def _resnet20_onnx(checkpoint: Path, target: Path) -> Path:
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    network = _ResNet20().eval()
    network.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    torch.onnx.export(network, (torch.zeros(1, 3, 32, 32),), target, dynamo=True, verbose=False)
    return target
