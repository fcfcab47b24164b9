"""CIFAR-10 from its JPEG copies: training batches with augmentation, test images without."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lacewing.converter.output import write_atomically

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data"
BUILD = ROOT / "build" / "bench" / "accuracy"

SIZE = 32
PAD = 4  # pixels that a crop may move: arXiv 1512.03385, section 4.2
# Of ImageNet, not of CIFAR-10: the checkpoints were trained with these.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

Batch = tuple[dict[str, torch.Tensor], torch.Tensor]


def normalized(images: torch.Tensor) -> torch.Tensor:
    """uint8 [N,3,H,W] as the networks read it: float32 of the same shape."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return images.to(torch.float32).div_(255).sub_(mean).div_(std)


class _Cifar:
    """Images, uint8 [N,3,32,32], and labels, int64 [N]."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.images = images
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)


class CifarTest(_Cifar):
    """Images as they are."""

    def batch(self, indices: Sequence[int], generator: torch.Generator | None = None) -> Batch:
        """({"image": float32 [B,3,32,32]}, int64 [B]); the generator stays unused."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return {"image": normalized(self.images[chosen])}, self.labels[chosen]


class CifarTrain(CifarTest):
    """Images moved by up to four pixels, their edge mirrored into the gap, and flipped at random."""

    def batch(self, indices: Sequence[int], generator: torch.Generator | None = None) -> Batch:
        """({"image": float32 [B,3,32,32]}, int64 [B]); without a generator no augmentation: for calibration."""
        if generator is None:
            return super().batch(indices)
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        rows, columns = _positions(len(chosen), generator)
        images = self.images[
            chosen[:, None, None, None],
            torch.arange(3)[None, :, None, None],
            rows[:, None, :, None],
            columns[:, None, None, :],
        ]
        return {"image": normalized(images)}, self.labels[chosen]


def _positions(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """The source row and the source column of every row and column of ``count`` augmented images, both [N][32]."""
    shifts = torch.randint(-PAD, PAD + 1, (2, count, 1), generator=generator)
    flipped = torch.randint(0, 2, (count, 1), generator=generator, dtype=torch.bool)
    rows, columns = _mirrored(shifts + torch.arange(SIZE))
    return rows, torch.where(flipped, columns.flip(1), columns)


def _mirrored(positions: torch.Tensor) -> torch.Tensor:
    """Positions outside of 0..31 reflected at the edge pixel, which is not repeated."""
    return (SIZE - 1) - ((SIZE - 1) - positions.abs()).abs()


def train_set(data: Path = DATA) -> CifarTrain:
    """The 25,000 training images."""
    return CifarTrain(*_read(data / "cifar10_jpeg", "train_25000"))


def test_set(data: Path = DATA) -> CifarTest:
    """The 5,000 test images."""
    return CifarTest(*_read(data / "cifar10_jpeg", "test_5000"))


def _read(folder: Path, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 [N,3,32,32] and int64 [N], from the cache if it was filled before."""
    cache = BUILD / f"{name}.npz"
    if not cache.exists():
        classes = (folder / "classes.txt").read_text(encoding="ascii").split()
        images, labels = _decode(folder / f"{name}.zip", classes)
        content = io.BytesIO()
        np.savez(content, images=images, labels=labels)
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache, content.getvalue())
    with np.load(cache) as arrays:
        return torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"])


def _decode(archive: Path, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Every ``class/NNNN.jpg`` of a zip in the order of their names."""
    with zipfile.ZipFile(archive) as files:
        names = sorted(files.namelist())
        pixels = [np.asarray(Image.open(io.BytesIO(files.read(name))).convert("RGB")) for name in names]
    labels = np.array([classes.index(name.partition("/")[0]) for name in names], np.int64)
    return np.ascontiguousarray(np.stack(pixels).transpose(0, 3, 1, 2)), labels
