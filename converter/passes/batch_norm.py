"""Batch normalization of inference is an affine map per channel."""

from __future__ import annotations

import numpy as np

from ..ir import Graph


def batch_norm_to_affine(graph: Graph) -> None:
    """Rewrites every batch_norm as affine; computed in double so that folding adds no error of its own."""
    for node in graph.nodes:
        if node.op != "batch_norm":
            continue
        parts = {name: array.astype(np.float64) for name, array in node.weights.items()}
        scale = parts["scale"] / np.sqrt(parts["variance"] + float(node.attrs["epsilon"]))
        offset = parts["offset"] - parts["mean"] * scale
        node.op, node.attrs = "affine", {}
        node.weights = {"scale": scale.astype(np.float32), "offset": offset.astype(np.float32)}
