"""A ``.lace`` file against the float network it came from: end to end, layer by layer, accuracy with labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import lacewing
from lacewing.converter.calibration import Dataset
from lacewing.converter.errors import OptionError
from lacewing.converter.execute import Executor
from lacewing.converter.ir import Graph
from lacewing.converter.lowering.builder import printable
from lacewing.converter.made import EQUALIZED, REARRANGED
from lacewing.converter.progress import Progress, silent
from lacewing.converter.sparsity.permutation_sets import permutation_sets

Array = npt.NDArray[Any]


@dataclass
class Accuracy:
    """Top-1 shares in per cent of one output with classes along its last axis."""

    agreement: float
    float_top1: float | None = None
    lace_top1: float | None = None


@dataclass
class Comparison:
    """SQNR in dB, None where the two are equal; ``layers`` in execution order.

    moved: values whose channels stand elsewhere in the file, have other scales there, or are not all there; they cannot be
    compared.
    """

    samples: int
    outputs: dict[str, float | None]
    layers: dict[str, float | None]
    accuracy: dict[str, Accuracy] = field(default_factory=dict)
    moved: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass
class _Power:
    signal: float = 0.0
    noise: float = 0.0

    def add(self, reference: Array, got: Array) -> None:
        wide = reference.astype(np.float64).reshape(-1)
        self.signal += float(wide @ wide)
        difference = wide - got.reshape(-1)
        self.noise += float(difference @ difference)

    @property
    def sqnr(self) -> float | None:
        if self.noise == 0:
            return None
        return round(10 * math.log10(max(self.signal, 1e-300) / self.noise), 2)


def compare(
    lace: str | Path,
    graph: Graph,
    dataset: Dataset,
    labels: Sequence[int] | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Runs both over ``dataset``. Raises OptionError where inputs or outputs do not match."""
    executor = Executor(graph, list(graph.shapes))
    totals: dict[str, _Power] = {}
    tops: dict[str, list[tuple[int, int]]] = {v: [] for v in graph.outputs if _classes(graph, v)}
    names = {printable(v): v for v in graph.shapes}
    with lacewing.Session(lace) as session:
        _check_edges(session, graph)
        repeats = session.metadata.get("repeated_channels", {})
        moved = _moved(graph, session.metadata)
        for i, sample in enumerate(dataset):
            reference = _as_stored(executor.run(sample), repeats, names)
            results = session.layer_results({printable(k): v for k, v in sample.items()})
            got = {names[r.tensor.name]: _real(r) for r in results if r.tensor.name in names}
            for value, array in got.items():
                if value not in moved and array.size == reference[value].size:
                    totals.setdefault(value, _Power()).add(reference[value], array)
            for value, pairs in tops.items():
                pairs.append((int(reference[value].argmax()), int(got[value].argmax())))
            progress("compare", (i + 1) / len(dataset))
    return Comparison(
        len(dataset),
        {v: totals[v].sqnr for v in graph.outputs},
        {v: power.sqnr for v, power in totals.items()},
        {v: _accuracy(pairs, labels) for v, pairs in tops.items()},
        [v for v in moved if v in got],
    )


def _moved(graph: Graph, metadata: dict[str, Any]) -> list[str]:
    """The values whose channels the conversion scaled, or may have moved, in execution order."""
    sets = permutation_sets(graph) if metadata.get(REARRANGED) else []
    movable = {value for moving in sets for value in moving.places}
    scaled = metadata.get(EQUALIZED, [])
    if not isinstance(scaled, list):
        raise OptionError(f"the file's metadata '{EQUALIZED}' is no list of values: convert it again")
    return [n.output for n in graph.nodes if n.output in movable or printable(n.output) in scaled]


def _check_edges(session: lacewing.Session, graph: Graph) -> None:
    for what, own, other in (
        ("inputs", session.inputs, graph.inputs),
        ("outputs", session.outputs, graph.outputs),
    ):
        if [t.name for t in own] != [printable(v) for v in other]:
            raise OptionError(
                f"the .lace file has {what} {[t.name for t in own]}, the float model {list(other)}: "
                "they are not the same network"
            )


def _as_stored(reference: dict[str, Array], repeats: Any, names: dict[str, str]) -> dict[str, Array]:
    """The float network's values with the channels that conversion replaced (docs/quantization.md)."""
    try:
        for name, pairs in repeats.items():
            array = reference[names[name]].copy()
            for channel, origin in pairs:
                array[:, channel] = reference[names[name]][:, origin]
            reference = {**reference, names[name]: array}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise OptionError(
            f"the file's metadata 'repeated_channels' does not fit the float model ({error}): "
            "they are not the same network"
        ) from error
    return reference


def _real(result: lacewing.LayerResult) -> Array:
    if result.array.dtype == np.float32:
        return result.array
    return (result.array.astype(np.float32) - result.tensor.zero_point) * np.float32(result.tensor.scale)


def _classes(graph: Graph, value: str) -> bool:
    shape = graph.shapes[value]
    return len(shape) == 2 and shape[1] > 1


def _accuracy(pairs: list[tuple[int, int]], labels: Sequence[int] | None) -> Accuracy:
    found = np.asarray(pairs)
    agreement = round(100.0 * float((found[:, 0] == found[:, 1]).mean()), 2)
    if labels is None:
        return Accuracy(agreement)
    right = 100.0 * (found == np.asarray(labels)[:, None]).mean(axis=0)
    return Accuracy(agreement, round(float(right[0]), 2), round(float(right[1]), 2))
