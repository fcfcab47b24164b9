"""What a session tells about its tensors and layers: plain frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TensorInfo:
    """A graph input or output, or a layer's result.

    ``dtype`` is "float32" or "uint8" (values 0..127, real = (value - zero_point) * scale); ``scale`` and
    ``zero_point`` are 0 for float32.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The dtype as numpy has it."""
        return np.dtype(self.dtype)


@dataclass(frozen=True)
class LayerInfo:
    """One operator of the model: ``kind`` as in the format's operator list, ``kernel`` as chosen on this machine."""

    name: str
    kind: str
    kernel: str
    tier: str
    macs: int  # dense multiply-accumulates
    kept_macs: int  # after sparsity
    weight_bytes: int  # in the file


class LayerTime(NamedTuple):
    """How long one operator took in one run."""

    name: str
    kernel: str
    seconds: float


class LayerResult(NamedTuple):
    """What one operator computed in one run: ``array`` is plain row-major, as ``tensor`` says."""

    name: str
    kind: str
    tensor: TensorInfo
    array: Array
