"""The demo's data and network: UCI digits (shipped with scikit-learn) and a small MobileNet trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from lacewing.converter.progress import Progress
from lacewing.converter.training import Recipe

SIZE = 32  # pixels; each of the 8x8 source pixels becomes 4x4
CLASSES = 10
EPOCHS = 8
FINE_TUNING_EPOCHS = 12
BATCH = 64
# (output channels, stride) of the depthwise-separable blocks
BLOCKS = ((64, 2), (128, 1), (128, 1), (256, 2), (256, 1))


@dataclass(frozen=True)
class Digits:
    """Images [N,1,32,32] float32 in -1..1 and labels [N] int64, split once and for all."""

    train_images: npt.NDArray[np.float32]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.float32]
    test_labels: npt.NDArray[np.int64]


def load(seed: int = 0) -> Digits:
    """The 1797 digits, 30 % of them (539) held out for testing."""
    images, labels = load_digits(return_X_y=True)
    factor = SIZE // 8
    pixels = np.kron(images.reshape(-1, 8, 8), np.ones((factor, factor))) / 8 - 1
    order = np.random.default_rng(seed).permutation(len(pixels))
    pixels = pixels[order, None].astype(np.float32)
    labels = labels[order].astype(np.int64)
    held_out = len(pixels) * 3 // 10
    return Digits(pixels[held_out:], labels[held_out:], pixels[:held_out], labels[:held_out])


class Samples:
    """Training images as fine-tuning takes them: in batches."""

    def __init__(self, data: Digits) -> None:
        self._images, self._labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)

    def __len__(self) -> int:
        return len(self._labels)

    def batch(self, indices: Sequence[int], generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
        """({"image": [N,1,32,32] f32}, labels [N] int64)."""
        chosen = torch.tensor(list(indices))
        return {"image": self._images[chosen]}, self._labels[chosen]


def recipe(data: Digits) -> Recipe:
    """How the demo fine-tunes: labels and the float network teach together."""
    return Recipe(
        Samples(data),
        loss=lambda outputs, target: nn.functional.cross_entropy(next(iter(outputs.values())), target),
        epochs=FINE_TUNING_EPOCHS,
        quantized_epochs=FINE_TUNING_EPOCHS // 4,
        batch_size=BATCH,
        learning_rate=3e-3,
    )


def train(
    data: Digits, onnx_path: Path, progress: Progress, seed: int = 0, epochs: int = EPOCHS
) -> DigitsNet:
    """Trains the network and exports it to ONNX with a batch of one, batch norms folded."""
    torch.manual_seed(seed)
    network = DigitsNet()
    images, labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    steps = -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=epochs * steps)
    network.train()
    for epoch in range(epochs):
        for batch in torch.split(torch.randperm(len(images)), BATCH):
            loss = torch.nn.functional.cross_entropy(network(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        progress("training", (epoch + 1) / epochs)
    _export(network, onnx_path)
    return network.eval()


class DigitsNet(nn.Module):
    """[N,1,32,32] -> [N,10]: a stem, depthwise-separable blocks, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        layers = _unit(1, 32, 3)
        channels = 32
        for c_out, stride in BLOCKS:
            layers += _unit(channels, channels, 3, stride, channels) + _unit(channels, c_out, 1)
            channels = c_out
        self.layers = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Logits of images -1..1."""
        logits: Tensor = self.layers(image)
        return logits


def _unit(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(c_out), nn.ReLU6()]


def _export(network: nn.Module, path: Path) -> None:
    example = torch.zeros(1, 1, SIZE, SIZE)
    program = torch.onnx.export(
        network.eval(), (example,), dynamo=True, input_names=["image"], output_names=["logits"], verbose=False
    )
    assert program is not None
    program.save(path)
