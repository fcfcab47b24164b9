"""Calibration samples that teach: images are moved and mirrored, and nobody needs to have labelled them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lacewing.converter.calibration import Dataset
from lacewing.converter.calibration.preprocessing import image_shape
from lacewing.converter.training.data import Batch

_SHIFT = 1 / 16  # of the image's sides, by which augmentation moves it at most


class Unlabelled:
    """Calibration samples as training data without targets; images are moved and mirrored.

    The teacher answers for the very image that the student sees, so that no augmentation can teach a wrong label.
    """

    def __init__(self, dataset: Dataset, augment: bool) -> None:
        names = dataset.load(0)
        samples = [dataset.load(i) for i in range(len(dataset))]
        self._inputs = {n: torch.from_numpy(np.concatenate([s[n] for s in samples])) for n in names}
        self._augment = augment

    def __len__(self) -> int:
        return len(next(iter(self._inputs.values())))

    def digest(self) -> str:
        """Of all samples, so that a checkpoint knows them."""
        found = hashlib.sha256()
        for name, array in sorted(self._inputs.items()):
            found.update(name.encode() + array.numpy().tobytes())
        return found.hexdigest()

    def batch(self, indices: Sequence[int], generator: torch.Generator) -> Batch:
        """Samples, without target."""
        inputs = {n: a[list(indices)] for n, a in self._inputs.items()}
        if self._augment:
            inputs = {n: _augmented(a, generator) if a.dim() == 4 else a for n, a in inputs.items()}
        return inputs, None


def _augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images, channels first or last, each moved and perhaps mirrored."""
    *_, channels_first = image_shape((1, *images.shape[1:]))
    if not channels_first:
        return _moved_and_mirrored(images.permute(0, 3, 1, 2), generator).permute(0, 2, 3, 1).contiguous()
    return _moved_and_mirrored(images, generator)


def _moved_and_mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    dy, dx = max(1, round(height * _SHIFT)), max(1, round(width * _SHIFT))
    padded = functional.pad(images, (dx, dx, dy, dy), mode="replicate")
    y = torch.randint(0, 2 * dy + 1, (count,), generator=generator)
    x = torch.randint(0, 2 * dx + 1, (count,), generator=generator)
    mirror = torch.rand(count, generator=generator) < 0.5
    moved = [
        p[:, a : a + height, b : b + width] for p, a, b in zip(padded, y.tolist(), x.tolist(), strict=True)
    ]
    return torch.stack([m.flip(-1) if f else m for m, f in zip(moved, mirror.tolist(), strict=True)])
