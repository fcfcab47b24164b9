"""What a conversion has made before it is written."""

from __future__ import annotations

from dataclasses import dataclass, field

from lacewing.converter.calibration import Dataset
from lacewing.converter.ir import Graph
from lacewing.converter.quantization.plan import QuantizationPlan
from lacewing.converter.sparsity.budget import LayerBudget
from lacewing.converter.sparsity.rearrange import Rearrangement
from lacewing.format.model import Model

# In a file's metadata: channels stand elsewhere than in the source network; the values whose channels have other scales there.
REARRANGED, EQUALIZED = "rearranged", "equalized"


@dataclass
class Tuning:
    """A fine-tuning, for the report. ``metric``: of the recipe, "float" before and "quantized" after."""

    history: dict[str, list[dict[str, float]]]  # stage -> one entry per epoch
    metric: dict[str, float]
    epochs: int
    samples: int  # that taught
    held_out: int  # that judged
    labelled: bool  # whether the metric is a recipe's own
    leads: bool = True  # whether this process writes the result
    discarded: float | None = None  # points that training lost, where less was lost without and that was kept

    @property
    def drop(self) -> float | None:
        """Points of the metric lost, where it was measured."""
        if not self.metric:
            return None
        return 100 * (self.metric["float"] - self.metric["quantized"])


@dataclass(frozen=True)
class Attempt:
    """One sparsity that ``--max-drop`` tried; ``drop`` in points."""

    sparsity: float
    drop: float


@dataclass
class Made:
    """A model without metadata, and what the report says of it."""

    graph: Graph
    model: Model
    plan: QuantizationPlan
    budgets: dict[str, LayerBudget]
    sqnr: dict[str, float]  # of each value, dB
    calibration: Dataset
    rearrangement: Rearrangement | None = None
    tuning: Tuning | None = None
    sparsity: float = 0.0  # asked for, or found by ``--max-drop``
    attempts: list[Attempt] = field(default_factory=list)
    judged_by: int = 0  # held-out samples behind the drops
    # Layer -> its output channels before and after whole channels went.
    narrowed: dict[str, tuple[int, int]] = field(default_factory=dict)
    equalized: list[str] = field(default_factory=list)  # values whose channels were scaled

    @property
    def moved(self) -> bool:
        """Whether channels stand elsewhere than in the source network."""
        return bool(self.narrowed) or (self.rearrangement is not None and bool(self.rearrangement.orders))

    @property
    def retained(self) -> dict[str, tuple[float, float]]:
        """layer -> the share of its saliency that its blocks keep: without, with rearrangement."""
        if self.rearrangement is None:
            return {}
        return {n: (round(r.before, 4), round(r.after, 4)) for n, r in self.rearrangement.layers.items()}
