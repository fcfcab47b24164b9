"""Whole networks: downloaded ones, and what torch's exporter writes."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pytest
import torch
from onnx_models import assert_import_matches, ops
from torch import nn

FILES = {
    "mobilenet_imagenet/float/mobilenet_v1_0.25_128_float.onnx": {"conv": 28, "avg_pool": 1, "reshape": 1},
    "mobilenet_imagenet/float/mobilenet_v2_1.0_224_float.onnx": {"conv": 53, "add": 10, "avg_pool": 1, "reshape": 1},
    "squeezenet_imagenet/squeezenet_v1.1_float.onnx": {
        "conv": 26, "concat": 8, "max_pool": 3, "avg_pool": 1, "reshape": 1,
    },
} | {
    f"ultralight_face/version-{name}-320_{kind}.onnx": {
        "conv": convs, "transpose": 8, "reshape": 8, "softmax": 1,
    } | extra
    for name, convs, extra in (("RFB", 52, {"concat": 3, "add": 1}), ("slim", 42, {"concat": 2}))
    for kind in ("simplified", "without_postprocessing")
}  # fmt: skip


@pytest.mark.needs_data
@pytest.mark.parametrize("name", FILES)
def test_downloaded_model(name: str, data: Path) -> None:
    assert Counter(ops(assert_import_matches(data / name))) == FILES[name]


class SqueezeExcite(nn.Module):
    """Hard-swish, then channels weighted by what the whole image says."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.hardswish(x)
        pooled = nn.functional.adaptive_avg_pool2d(x, 1)
        return x * nn.functional.hardsigmoid(self.expand(torch.relu(self.reduce(pooled))))


class Residual(nn.Module):
    """Two convolutions and a shortcut that subsamples and pads channels, as CIFAR ResNets do."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1, bias=False)
        self.second = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(2 * channels) for _ in range(2))
        self.extra = channels // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norms[1](self.second(torch.relu(self.norms[0](self.first(x)))))
        return torch.relu(y + nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra)))


def small_network() -> nn.Module:
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(), nn.MaxPool2d(3, 2, 1, ceil_mode=True),
        Residual(8), SqueezeExcite(16), nn.Conv2d(16, 16, 5, padding=2, groups=16), nn.BatchNorm2d(16), nn.SiLU(),
        nn.PixelShuffle(2), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(4, 12, 1), nn.GELU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(12, 10), nn.Softmax(dim=1),
    ]  # fmt: skip
    network = nn.Sequential(*layers)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.eval()


@pytest.mark.parametrize("opset", [18, 20])
def test_torch_dynamo_export(opset: int, tmp_path: Path) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    path = tmp_path / "small.onnx"
    example = (torch.zeros(1, 3, 32, 32),)
    torch.onnx.export(small_network(), example, path, dynamo=True, opset_version=opset, verbose=False)
    found = Counter(ops(assert_import_matches(path)))
    assert found["hard_swish"] == found["hard_sigmoid"] == found["silu"] == found["gelu"] == 1
    assert not {"batch_norm", "affine", "gemm", "pad"} & set(found)


def test_torch_dynamo_export_with_open_batch(tmp_path: Path) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    path = tmp_path / "batch.onnx"
    example = (torch.zeros(2, 3, 32, 32),)
    batch = torch.export.Dim("batch", min=1, max=64)
    torch.onnx.export(
        small_network(), example, path, dynamo=True, dynamic_shapes=({0: batch},), verbose=False
    )
    graph = assert_import_matches(path)
    assert graph.shapes[graph.inputs[0]] == (1, 3, 32, 32)
