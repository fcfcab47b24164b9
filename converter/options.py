"""Everything that a conversion can be told."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.calibration import Preprocessing
from lacewing.converter.errors import OptionError
from lacewing.converter.quantization.ranges import FITTED, RANGES
from lacewing.converter.training.recipe import Recipe
from lacewing.format.description import BLOCK_ROWS
from lacewing.profiles.profile import load

Samples = Iterable[Mapping[str, npt.NDArray[np.float32]]]

BUDGETS = ("global", "uniform")
# 4x8 is stored as 4x4 blocks in pairs.
BLOCKS = ("auto", *(f"{rows}x4" for rows in BLOCK_ROWS), "4x8")
MAX_SPARSITY = 0.95


@dataclass(frozen=True)
class LayerChoice:
    """What one layer is told: its block (``BLOCKS``) and the share of its blocks that go."""

    block: str
    sparsity: float


@dataclass(frozen=True)
class ConvertOptions:
    """Options of ``convert``; the fields are the command line's flags. Raises OptionError or ProfileError for a bad value.

    calibration: a folder of images, .npz, .npy, a recipe .py, or samples {input name: array}.
    """

    calibration: str | Path | Samples
    calibration_count: int = 64
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    input_shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    ranges: str = FITTED
    equalize: bool = True
    rearrange: bool = True  # channels, where nothing is trained; a recipe has its own
    sparsity: float = 0.0
    block: str = "auto"
    budget: str = "global"
    profile: str | None = (
        None  # device profile: a shipped one's name, or a file .toml; None: this machine's tier
    )
    latency: float | None = None  # ms: the most that the network may take on that device
    size: float | None = None  # KB of 1024 bytes: the most that its weights may take
    layers: dict[str, LayerChoice] = field(default_factory=dict)  # node name -> choice
    finetune: Recipe | bool = False  # True: distillation on the calibration data
    epochs: int | None = None  # of fine-tuning; None: the recipe's, or as many as the network's size allows
    checkpoint: Path | None = None  # folder
    device: str | None = None  # of fine-tuning, as torch names it; None: a GPU where there is one
    max_drop: float | None = None  # points; the sparsity is then searched for
    seed: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)  # added to the file's own

    @property
    def prunes(self) -> bool:
        """Whether layers are pruned that no ``layers`` names."""
        return bool(self.sparsity) or self.limited

    @property
    def limited(self) -> bool:
        """Whether time or bytes decide how much goes."""
        return self.latency is not None or self.size is not None

    def __post_init__(self) -> None:
        _one_of("--ranges", self.ranges, tuple(RANGES))
        _one_of("--block", self.block, BLOCKS)
        _one_of("--budget", self.budget, BUDGETS)
        _share("--sparsity", self.sparsity)
        for name, choice in self.layers.items():
            _one_of(f"--layer {name}", choice.block, BLOCKS)
            _share(f"--layer {name}", choice.sparsity)
        self._check_limits()
        self._check_training()
        if not 0 <= self.seed < 1 << 63:
            raise OptionError(f"--seed is a whole number from 0 to 2^63 - 1, not {self.seed}")
        if self.calibration_count < 1:
            raise OptionError(f"--calib-count must be at least 1, not {self.calibration_count}")

    def _check_limits(self) -> None:
        for flag, value in (("--latency", self.latency), ("--size", self.size)):
            if value is None:
                continue
            if not 0 < value < math.inf:
                raise OptionError(f"{flag} is a number above 0, not {value}")
            if self.budget == "uniform":
                raise OptionError(f"{flag} chooses each layer's sparsity: leave out --budget uniform")
            if self.max_drop is not None:
                raise OptionError(f"{flag} and --max-drop each set the sparsity: give one of them")
        if self.profile is not None:
            load(self.profile)

    def _check_training(self) -> None:
        if not isinstance(self.finetune, (bool, Recipe)):
            raise OptionError(
                f"finetune is True or a Recipe, not {self.finetune!r}: load_recipe(path) reads one from a file"
            )
        if self.checkpoint is not None:
            object.__setattr__(self, "checkpoint", Path(self.checkpoint))
        if not self.finetune:
            for name in ("epochs", "checkpoint", "device"):
                if getattr(self, name) is not None:
                    raise OptionError(f"--{name} belongs to --finetune")
        if self.epochs is not None and self.epochs < 1:
            raise OptionError(f"--epochs must be at least 1, not {self.epochs}")
        if self.max_drop is not None:
            if not 0 <= self.max_drop < 100:
                raise OptionError(f"--max-drop is in points, from 0 to below 100, not {self.max_drop}")
            if self.sparsity or self.layers:
                raise OptionError("--max-drop finds the sparsity: leave out --sparsity and --layer")


def _one_of(flag: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise OptionError(f"{flag} is one of {', '.join(allowed)}, not {value!r}")


def _share(flag: str, value: float) -> None:
    if not 0 <= value <= MAX_SPARSITY:
        raise OptionError(f"{flag}: sparsity is a share from 0 to {MAX_SPARSITY}, not {value}")
