"""Chrome's trace event format, which Perfetto opens, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lacewing.infos import LayerInfo, LayerTime


def chrome_trace(layers: Sequence[LayerInfo], runs: Sequence[Sequence[LayerTime]]) -> dict[str, Any]:
    """One complete event per operator and run, runs one after the other; times in microseconds."""
    events: list[dict[str, Any]] = []
    now = 0.0
    for number, times in enumerate(runs):
        total = sum(time.seconds for time in times) * 1e6
        events.append({"name": f"run {number}", "ph": "X", "pid": 1, "tid": 1, "ts": now, "dur": total})
        for layer, time in zip(layers, times, strict=True):
            events.append(_event(layer, now, time.seconds * 1e6))
            now += time.seconds * 1e6
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _event(layer: LayerInfo, start: float, duration: float) -> dict[str, Any]:
    rate = layer.kept_macs / (duration * 1e3) if duration > 0 else 0.0
    return {
        "name": layer.name or layer.kind,
        "cat": layer.kind,
        "ph": "X",
        "pid": 1,
        "tid": 1,
        "ts": start,
        "dur": duration,
        "args": {
            "kernel": layer.kernel,
            "macs": layer.macs,
            "kept_macs": layer.kept_macs,
            "weight_bytes": layer.weight_bytes,
            "kept_gmac_per_s": round(rate, 3),
        },
    }
