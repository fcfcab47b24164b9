"""What a conversion did, as data: layers, files, warnings."""

from __future__ import annotations

import math
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import lacewing
from lacewing.commands.layers import sparsity_of
from lacewing.converter.ir import Node
from lacewing.converter.made import Attempt, Made, Tuning
from lacewing.converter.options import ConvertOptions
from lacewing.converter.sparsity.budget import DENSE_IS_FASTER, PRUNABLE, SELECTS, device_profile
from lacewing.format.model import Op

_LOW_SQNR_DB = 12.0
_SHORT_OF = 0.01  # share: of the sparsity asked for, to be worth a warning
_MUCH_LOST = 2.0  # points on held-out samples
_COMPACT_SHARE = 0.3  # sparsity above which a network that leans on depthwise layers needs fine-tuning


@dataclass
class LayerReport:
    """One conv, depthwise or gemm of the source network; ``sqnr_db`` of its output, calibration data, against the float network:
    the source or, where that was trained, what training made of it."""

    name: str
    kind: str
    weight_shape: list[int]
    output_shape: list[int]
    block: str  # "dense" or "RxC"
    sparsity: float  # share of the weights that are gone with their blocks
    bytes: int
    macs: int
    kept_macs: int
    sqnr_db: float | None  # None: equal bits
    dense_reason: str
    predicted_us: float  # on the profile's device


@dataclass
class ConversionReport:
    """The result of ``convert``. ``as_json`` gives plain data."""

    layers: list[LayerReport]
    warnings: list[str]
    versions: dict[str, str]
    sparsity: float  # weights gone / weights, all layers
    profile: str  # of the device that times are predicted for, one thread
    predicted_ms: float  # the whole network
    source: str = ""
    output: str = ""
    source_bytes: int = 0
    output_bytes: int = 0
    seconds: float = 0.0
    command: str = ""
    # Of a trained network against itself in float.
    output_sqnr_db: dict[str, float | None] = field(default_factory=dict)
    # Layer -> share of its saliency that its blocks keep: without rearrangement, with it.
    rearranged: dict[str, tuple[float, float]] = field(default_factory=dict)
    # Layer -> its output channels before and after whole channels went.
    narrowed: dict[str, tuple[int, int]] = field(default_factory=dict)
    tuning: Tuning | None = None
    attempts: list[Attempt] = field(default_factory=list)  # of --max-drop
    judged_by: int = 0  # held-out samples behind their drops

    def set_files(self, source: str, source_bytes: int, output: Path, seconds: float) -> None:
        """Adds what is known once the file is written."""
        self.source, self.output, self.seconds = source, str(output), round(seconds, 2)
        self.source_bytes, self.output_bytes = source_bytes, output.stat().st_size

    def as_json(self) -> dict[str, Any]:
        """Only dicts, lists, strings, numbers and None."""
        return asdict(self)


def make_report(made: Made, options: ConvertOptions) -> ConversionReport:
    """The report of a lowered network, files not yet known. ``options.sparsity`` is what was asked for or found."""
    graph, profile = made.graph, device_profile(options)
    times = {op.name: profile.op(made.model, op) / 1e3 for op in made.model.ops}
    ops = {op.name: op for op in made.model.ops if op.kind in ("conv", "depthwise")}
    layers = [
        _layer(made, node, ops[node.name], times[node.name])
        for node in graph.nodes
        if node.op in ("conv", "gemm") and node.name in ops
    ]
    return ConversionReport(
        layers,
        _warnings(layers, options, made.tuning, profile.name),
        _versions(),
        round(_gone(layers), 4),
        profile.name,
        round(sum(times.values()) / 1e3, 4),
        output_sqnr_db={v: _finite(made.sqnr[v]) for v in graph.outputs},
        rearranged=made.retained,
        narrowed=made.narrowed,
        tuning=made.tuning,
        attempts=made.attempts,
        judged_by=made.judged_by,
    )


def _gone(layers: list[LayerReport]) -> float:
    """Share of the layers' weights; a conv that only selects channels has none."""
    counts = [(math.prod(la.weight_shape), la.sparsity) for la in layers if la.dense_reason != SELECTS]
    return sum(count * sparsity for count, sparsity in counts) / max(sum(count for count, _ in counts), 1)


def _layer(made: Made, node: Node, op: Op, microseconds: float) -> LayerReport:
    graph, layer, budget = made.graph, made.plan.layers[node.name], made.budgets[node.name]
    stored = 1 - (sparsity_of(made.model, op) or 0.0)
    kept = stored if layer.keep is not None else 1.0
    macs = graph.macs(node)
    return LayerReport(
        node.name,
        op.kind if node.op == "conv" else "gemm",
        list(node.weights["weight"].shape),
        list(graph.shapes[node.output]),
        str(budget.block) if kept < 1 else "dense",
        round(1 - kept, 4),
        sum(int(a.nbytes) for a in op.data.values()),
        macs,
        round(macs * (stored if budget.reason == SELECTS else kept)),
        _finite(made.sqnr[node.output]),
        budget.reason,
        round(microseconds, 2),
    )


def _finite(value: float) -> float | None:
    return round(value, 2) if math.isfinite(value) else None


def _warnings(
    layers: list[LayerReport], options: ConvertOptions, tuning: Tuning | None, profile: str
) -> list[str]:
    found = []
    slower = [la for la in layers if la.dense_reason.startswith(DENSE_IS_FASTER)]
    pruned = [la for la in layers if la.block != "dense" or la.dense_reason.startswith(PRUNABLE)]
    if slower and _gone(pruned) < options.sparsity - _SHORT_OF:
        found.append(
            f"sparsity {_gone(pruned):.2f} instead of {options.sparsity:.2f}: more would make layers slower than they "
            f"are dense, on {profile}"
        )
    weak = [la for la in layers if la.sqnr_db is not None and la.sqnr_db < _LOW_SQNR_DB]
    if weak:
        names = ", ".join(f"{la.name} ({la.sqnr_db:.1f} dB)" for la in weak[:5])
        more = f" and {len(weak) - 5} more" if len(weak) > 5 else ""
        found.append(f"noisy layers, below {_LOW_SQNR_DB:.0f} dB: {names}{more}; compare with labelled data")
    if tuning is not None and tuning.drop is not None and tuning.drop > _MUCH_LOST:
        judge = "by the recipe's metric" if tuning.labelled else "by the float network's own probabilities"
        found.append(
            f"{tuning.drop:.1f} points lost on {tuning.held_out} held-out samples ({judge}): {tuning.samples} samples and "
            f"{tuning.epochs} epochs do not repair {options.sparsity:.0%} sparsity; give more data or epochs, "
            "or let --max-drop find what they can repair"
        )
    share, one_shot = _gone(pruned), tuning is None or tuning.discarded is not None
    if one_shot and share >= _COMPACT_SHARE and any(la.kind == "depthwise" for la in layers):
        found.append(
            f"{share:.0%} one-shot sparsity on a compact network costs accuracy: "
            "measure with `lacewing compare`, and --finetune or ask for less"
        )
    return found


def _versions() -> dict[str, str]:
    return {
        "lacewing": lacewing.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
