"""From statistics to a quantization for every value."""

from __future__ import annotations

import math

from lacewing.converter.errors import OptionError
from lacewing.converter.ir import Graph, Node
from lacewing.converter.quantization.forms import float_values
from lacewing.converter.quantization.parameters import Quantization
from lacewing.converter.quantization.plan import LayerPlan, QuantizationPlan
from lacewing.converter.quantization.ranges import RANGES, minmax_range
from lacewing.converter.quantization.sharing import MOVES, SharedQuantization
from lacewing.converter.quantization.statistics import Statistics, merged

_CLIP_REACHED = 0.98  # of the clamp's end: the range is then the clamp's


def assign(graph: Graph, statistics: dict[str, Statistics], ranges: str) -> QuantizationPlan:
    """Chooses form and quantization of every value; layers start as the graph's own weights.

    ranges: a key of ``RANGES``. Raises OptionError for another name.
    """
    if ranges not in RANGES:
        raise OptionError(f"--ranges {ranges!r} is unknown: use one of {', '.join(RANGES)}")
    floats = float_values(graph)
    plan = QuantizationPlan(
        floats, {}, {n.name: LayerPlan.of(n) for n in graph.nodes if n.op in ("conv", "gemm")}
    )
    producers = {n.output: n for n in graph.nodes}
    for members in SharedQuantization(graph, floats).members().values():
        quantization = _shared(members, producers, statistics, ranges)
        for value in members:
            plan.values[value] = quantization
    return plan


def _shared(
    members: list[str], producers: dict[str, Node], statistics: dict[str, Statistics], ranges: str
) -> Quantization:
    origins = [v for v in members if not _only_moved(producers.get(v), members)] or members
    together = merged([statistics[v] for v in origins])
    # Network inputs are data with hard ends (pixels), and cutting them costs more than a wider step.
    fixed = all(v not in producers for v in origins)
    low, high = minmax_range(together) if fixed else RANGES[ranges](together)
    clips = [_clip(producers[v]) for v in origins if v in producers]
    if len(clips) == len(origins):
        low, high = _snap_to_clip(low, high, min(c[0] for c in clips), max(c[1] for c in clips))
    return Quantization.from_range(low, high)


def _only_moved(producer: Node | None, members: list[str]) -> bool:
    """Whether a value is made of nothing but ``members``; a concat may read values of other quantizations, too."""
    return producer is not None and producer.op in (*MOVES, "concat") and set(producer.inputs) <= set(members)


def _clip(node: Node) -> tuple[float, float]:
    if node.op == "clip":
        return float(node.attrs["min"]), float(node.attrs["max"])
    low, high = node.attrs.get("clip", (-math.inf, math.inf))
    return float(low), float(high)


def _snap_to_clip(low: float, high: float, clip_low: float, clip_high: float) -> tuple[float, float]:
    if math.isfinite(clip_high) and clip_high > 0 and high >= _CLIP_REACHED * clip_high:
        high = clip_high
    if math.isfinite(clip_low) and clip_low < 0 and low <= _CLIP_REACHED * clip_low:
        low = clip_low
    return low, high
