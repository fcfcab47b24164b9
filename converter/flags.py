"""Flags shared by the converter's commands, and how their texts become values."""

from __future__ import annotations

import argparse
import math
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lacewing.converter.calibration import Preprocessing
from lacewing.converter.errors import OptionError
from lacewing.converter.options import LayerChoice
from lacewing.converter.training.recipe import Recipe, load_recipe


def add_preprocessing(parser: argparse.ArgumentParser) -> None:
    """--mean, --std, --channels, --resize: how images become inputs."""
    parser.add_argument("--mean", type=_numbers, help="pixel units, one or three values (default 127.5)")
    parser.add_argument("--std", type=_numbers, help="pixel units, one or three values (default 127.5)")
    parser.add_argument("--channels", choices=("rgb", "bgr"), help="order the network wants (default rgb)")
    parser.add_argument(
        "--resize", type=int, help="short side before the centre crop (default: crop / 0.875)"
    )


def add_training(parser: argparse.ArgumentParser) -> None:
    """--finetune and what belongs to it."""
    parser.add_argument(
        "--finetune",
        nargs="?",
        const="",
        metavar="RECIPE.py",
        help="train with sparsity and int8; without a recipe: distillation on the calibration data",
    )
    parser.add_argument("--epochs", type=int, help="of fine-tuning (default: the recipe's)")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="DIR", help="keeps the training, and goes on from it"
    )
    parser.add_argument(
        "--device", help="of fine-tuning: cpu, cuda, cuda:1 (default: a GPU where there is one)"
    )
    parser.add_argument(
        "--max-drop",
        type=float,
        metavar="POINTS",
        help="finds the sparsity that loses no more on held-out samples",
    )


def training(args: argparse.Namespace) -> dict[str, Any]:
    """The fields of ConvertOptions that ``add_training`` stands for. Raises OptionError."""
    recipe: Recipe | bool = args.finetune is not None
    if args.finetune:
        recipe = load_recipe(Path(args.finetune))
    given = {k: getattr(args, k) for k in ("epochs", "checkpoint", "device", "max_drop")}
    return {"finetune": recipe, **given}


def preprocessing(args: argparse.Namespace, default: Preprocessing) -> Preprocessing:
    """``default`` with the flags that were given."""
    given: dict[str, Any] = {k: getattr(args, k) for k in ("mean", "std", "channels", "resize")}
    return replace(default, **{k: v for k, v in given.items() if v is not None})


def input_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """``NAME:1x3x224x224`` -> {NAME: (1, 3, 224, 224)}. Raises OptionError."""
    shapes = {}
    for text in texts:
        name, _, dims = text.rpartition(":")
        parts = dims.split("x")
        if not name or not all(p.isdigit() and int(p) > 0 for p in parts):
            raise OptionError(f"--input-shape {text!r}: write NAME:1x3x224x224")
        shapes[name] = tuple(int(p) for p in parts)
    return shapes


def layer_choices(texts: Sequence[str]) -> dict[str, LayerChoice]:
    """``NAME=4x4:0.5`` -> {NAME: LayerChoice("4x4", 0.5)}. Raises OptionError."""
    choices = {}
    for text in texts:
        name, _, rest = text.rpartition("=")
        block, _, share = rest.partition(":")
        try:
            sparsity = float(share)
        except ValueError as error:
            raise OptionError(f"--layer {text!r}: write NAME=BLOCK:SPARSITY, as conv1=4x4:0.5") from error
        if not name or not math.isfinite(sparsity):
            raise OptionError(f"--layer {text!r}: write NAME=BLOCK:SPARSITY, as conv1=4x4:0.5")
        choices[name] = LayerChoice(block, sparsity)
    return choices


def reproduction(argv: Sequence[str]) -> str:
    """The command line that gives the same file again."""
    return shlex.join(["lacewing", *argv[1:]])


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number or comma-separated list of three") from error
