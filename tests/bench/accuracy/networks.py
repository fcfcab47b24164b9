"""The benchmark's networks for 32x32 images; widths are free, so that whole channels can be taken out of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from accuracy.cifar import DATA

CLASSES = 10


@dataclass(frozen=True)
class ResNetWidths:
    """Channels of a ResNet of three stages."""

    streams: tuple[int, int, int]  # what the stages' shortcuts carry; the stem makes the first
    inner: tuple[tuple[int, ...], ...]  # between the two convolutions of every block, by stage
    fronts: tuple[int, int]  # zero channels before the ones that stage 2 (3) takes over from stage 1 (2)


def resnet_widths(depth: int) -> ResNetWidths:
    """arXiv 1512.03385, section 4.2: depth 6n+2, widths 16, 32, 64."""
    streams = (16, 32, 64)
    return ResNetWidths(streams, tuple((width,) * ((depth - 2) // 6) for width in streams), (8, 16))


class Shortcut(nn.Module):
    """Every second pixel, zeros for the channels that the stage adds: option A of arXiv 1512.03385.

    A pool of one pixel is one operator of the engine where two strided slices are two.
    """

    def __init__(self, front: int, back: int) -> None:
        super().__init__()
        self.front, self.back = front, back

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [N,C,H,W] -> [N,front+C+back,H/2,W/2]
        return nn.functional.pad(nn.functional.max_pool2d(x, 1, 2), (0, 0, 0, 0, self.front, self.back))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, c_in: int, inner: int, c_out: int, front: int | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, inner, 3, 1 if front is None else 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.shortcut = nn.Identity() if front is None else Shortcut(front, c_out - c_in - front)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """The names of the parameters are those of the checkpoints."""

    def __init__(self, widths: ResNetWidths) -> None:
        super().__init__()
        self.widths = widths
        self.conv1 = nn.Conv2d(3, widths.streams[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths.streams[0])
        self.layer1, self.layer2, self.layer3 = (self._stage(i) for i in range(3))
        self.linear = nn.Linear(widths.streams[2], CLASSES)

    def _stage(self, index: int) -> nn.Sequential:
        c_out = self.widths.streams[index]
        blocks = []
        for i, inner in enumerate(self.widths.inner[index]):
            first = i == 0 and index > 0
            c_in = self.widths.streams[index - 1] if first else c_out
            blocks.append(ResidualBlock(c_in, inner, c_out, self.widths.fronts[index - 1] if first else None))
        return nn.Sequential(*blocks)

    def forward(self, image: torch.Tensor) -> torch.Tensor:  # [N,3,32,32] -> [N,10]
        y = torch.relu(self.bn1(self.conv1(image)))
        return self.linear(self.layer3(self.layer2(self.layer1(y))).mean((2, 3)))


def pretrained_resnet(depth: int, data: Path = DATA) -> ResNet:
    """ResNet-20 or ResNet-56 as published: trained on the original images, so the JPEG copies cost it ten points."""
    (checkpoint,) = (data / "resnet_cifar10").glob(f"resnet{depth}-*.th")
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    network = ResNet(resnet_widths(depth))
    network.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    return network.eval()


# Output channels of the stem and of every pointwise convolution at width 0.5, and the strides of the depthwise ones:
# arXiv 1704.04861, table 1, without the first and the last stride, which a 32x32 image has no pixels for.
MOBILENET_WIDTHS = (16, 32, 64, 64, 128, 128, 256, 256, 256, 256, 256, 256, 512, 512)
MOBILENET_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1)


class SeparableBlock(nn.Module):
    """A depthwise 3x3 and a pointwise convolution."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_in, 3, stride, 1, groups=c_in, bias=False)
        self.bn1 = nn.BatchNorm2d(c_in)
        self.conv2 = nn.Conv2d(c_in, c_out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = nn.functional.relu6(self.bn1(self.conv1(x)))
        return nn.functional.relu6(self.bn2(self.conv2(y)))


class MobileNetV1(nn.Module):
    """Thirteen separable blocks; ``widths`` are the stem's and the blocks' output channels."""

    def __init__(self, widths: tuple[int, ...] = MOBILENET_WIDTHS) -> None:
        super().__init__()
        self.widths = widths
        self.conv = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(widths[0])
        shapes = zip(widths, widths[1:], MOBILENET_STRIDES, strict=False)
        self.blocks = nn.Sequential(*(SeparableBlock(*shape) for shape in shapes))
        self.linear = nn.Linear(widths[-1], CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:  # [N,3,32,32] -> [N,10]
        y = nn.functional.relu6(self.bn(self.conv(image)))
        return self.linear(self.blocks(y).mean((2, 3)))
