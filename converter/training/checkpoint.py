"""Where a training is, on disk: written whole or not at all, refused when it belongs to another training."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from lacewing.converter.calibration import Dataset
from lacewing.converter.errors import OptionError
from lacewing.converter.ir import Graph
from lacewing.converter.options import ConvertOptions
from lacewing.converter.output import check_writable, write_atomically
from lacewing.converter.sparsity.budget import LayerBudget
from lacewing.converter.training.recipe import Recipe

Array = npt.NDArray[Any]

_FILE = "training.pt"
_FORMAT = 3


class Checkpoints:
    """The one checkpoint in ``folder``; without a folder nothing is kept."""

    def __init__(self, folder: Path | None, fingerprint: str) -> None:
        self._path = folder / _FILE if folder is not None else None
        self._fingerprint, self._plan = fingerprint, ""
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OptionError(f"--checkpoint {folder}: cannot be made a folder ({error})") from error
            check_writable(folder / _FILE)

    def save(self, state: dict[str, Any]) -> None:
        """Replaces the checkpoint. Raises OutputError, and the old one stays, where there is no room."""
        if self._path is None:
            return
        content = io.BytesIO()
        torch.save(
            {"format": _FORMAT, "fingerprint": self._fingerprint, "plan": self._plan, **state}, content
        )
        write_atomically(self._path, content.getvalue())

    def load(self) -> dict[str, Any] | None:
        """The state to go on from; None to begin. Raises OptionError for another training's or a damaged file."""
        if self._path is None or not self._path.exists():
            return None
        try:
            state = torch.load(self._path, map_location="cpu", weights_only=True)
        except Exception as error:  # damaged bytes make the unpickler raise anything
            raise OptionError(f"{self._path}: not a readable checkpoint ({error}); remove it") from error
        if not isinstance(state, dict) or state.get("format") != _FORMAT:
            raise OptionError(f"{self._path}: a checkpoint of another version; remove it to begin anew")
        if state["fingerprint"] != self._fingerprint:
            raise OptionError(
                f"{self._path}: belongs to a training with another network, recipe, options or calibration samples; "
                "remove it to begin anew, or give another --checkpoint folder"
            )
        return state

    def keep_to(self, plan: str, state: Mapping[str, Any] | None) -> None:
        """``plan``: ``fingerprint_of_plan``. Raises OptionError where the loaded ``state`` is of another one."""
        self._plan = plan
        if state is not None and state["plan"] != plan:
            raise OptionError(
                f"{self._path}: belongs to a training in which other channels or blocks go; give the --profile that it "
                "began with, or remove it to begin anew"
            )


def fingerprint_of_plan(budgets: Mapping[str, LayerBudget], places: Mapping[str, Array]) -> str:
    """A digest of what goes from which layer; places: value -> [C'], the source's channel at each place."""
    digest = hashlib.sha256(repr([(n, str(b.block), b.share) for n, b in sorted(budgets.items())]).encode())
    for value, channels in sorted(places.items()):
        digest.update(f"{value} {channels.tolist()}".encode())
    return digest.hexdigest()


def fingerprint(
    networks: Sequence[Graph], recipe: Recipe, options: ConvertOptions, calibration: Dataset, world: int
) -> str:
    """A digest of everything that the result of a training depends on and that can be compared.

    networks: the one that is trained and, if it is another, the one that teaches.
    """
    digest = hashlib.sha256()
    for sample in calibration:
        for name in sorted(sample):
            digest.update(name.encode() + sample[name].tobytes())
    for other in networks[1:]:  # teachers may differ in nothing but the order of what they give
        digest.update(repr(other.outputs).encode())
    for node in (node for graph in networks for node in graph.nodes):
        digest.update(f"{node.op} {node.name} {node.inputs} {sorted(node.attrs.items(), key=str)}".encode())
        for name in sorted(node.weights):
            digest.update(node.weights[name].tobytes())
    plain = {f.name: getattr(recipe, f.name) for f in fields(recipe)}
    # Another teacher counts by what it computes, not by where it lies.
    chosen = {k: v for k, v in plain.items() if isinstance(v, (int, float, str)) and k != "teacher"}
    data = {k: _known_of(v) for k, v in plain.items() if k in ("train", "validation") and v is not None}
    names = ("sparsity", "block", "budget", "ranges", "profile", "latency", "size", "seed")
    told = [str(getattr(options, name)) for name in names]
    told += [f"{name} {choice}" for name, choice in sorted(options.layers.items())]
    digest.update(repr((sorted(chosen.items()), data, told, world)).encode())
    return digest.hexdigest()


def _known_of(data: Any) -> str:
    """What can be compared of training data: all of it where it can say so, else how much there is."""
    digest: Callable[[], str] | None = getattr(data, "digest", None)
    return digest() if digest is not None else str(len(data))
