"""One row per operator of a model: what ``inspect`` shows in its table, its page and its JSON."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lacewing.format import Model, Op
from lacewing.format.description import ENCODINGS
from lacewing.profiles.profile import Profile
from lacewing.profiles.work import kept_in_pairs

if TYPE_CHECKING:
    from lacewing.session import Session


@dataclass(frozen=True)
class LayerRow:
    """A layer as people want to see it; ``sparsity`` is the share of dropped blocks, None where it has no sense."""

    name: str
    kind: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    output_dtype: str
    block: str | None
    sparsity: float | None
    macs: int
    kept_macs: int
    weight_bytes: int
    kernel: str
    predicted_us: float | None  # by a device profile


def layer_rows(session: Session, profile: Profile | None = None) -> list[LayerRow]:
    """The layers of an open session in the order in which they run; without a profile no times are predicted."""
    model = session.records()
    return [
        LayerRow(
            name=layer.name,
            kind=layer.kind,
            input_shape=model.tensors[op.inputs[0]].dims,
            output_shape=model.tensors[op.output].dims,
            output_dtype=model.tensors[op.output].dtype,
            block=_block(model, op),
            sparsity=sparsity_of(model, op),
            macs=layer.macs,
            kept_macs=layer.kept_macs,
            weight_bytes=layer.weight_bytes,
            kernel=layer.kernel,
            predicted_us=None if profile is None else profile.op(model, op) / 1e3,
        )
        for layer, op in zip(session.layers, model.ops, strict=True)
    ]


def summary(session: Session, profile: Profile) -> dict[str, Any]:
    """Everything about a model, JSON-able; times as ``profile`` predicts them, of one thread."""
    rows = layer_rows(session, profile)
    macs, kept = sum(row.macs for row in rows), sum(row.kept_macs for row in rows)
    return {
        "inputs": [asdict(tensor) for tensor in session.inputs],
        "outputs": [asdict(tensor) for tensor in session.outputs],
        "file_bytes": session.file_bytes,
        "memory_bytes": session.memory_bytes,
        "arena_bytes": session.arena_bytes,
        "macs": macs,
        "kept_macs": kept,
        "profile": profile.name,
        "predicted_ms": sum(row.predicted_us or 0.0 for row in rows) / 1e3,
        "sparsity": 1 - kept / macs if macs else 0.0,
        "float_layers": [row.name for row in rows if row.kind == "softmax"],
        "metadata": session.metadata,
        "sha256": hashlib.sha256(session.file_view()).hexdigest(),
        "layers": [asdict(row) for row in rows],
    }


def _block(model: Model, op: Op) -> str | None:
    """RxC; kept blocks that all come in pairs (k even, k + 1) are blocks of twice the width."""
    if op.kind != "conv":
        return None
    rows = int(op.attributes["block_rows"])
    if op.attributes["encoding"] == ENCODINGS["dense"]:
        return f"{rows}x4"
    return f"{rows}x{8 if kept_in_pairs(op) else 4}"


def sparsity_of(model: Model, op: Op) -> float | None:
    """The share of blocks that the file does not hold of ``op``; None where there are no blocks."""
    if op.kind != "conv":
        return None
    if op.attributes["encoding"] == ENCODINGS["dense"]:
        return 0.0
    rows = len(op.data["mask"])
    taps = int(op.attributes["kernel_h"]) * int(op.attributes["kernel_w"])
    k4 = taps * -(-model.tensors[op.inputs[0]].dims[1] // 4)
    return 1 - len(op.data["weights"]) / (rows * k4)
