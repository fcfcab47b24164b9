"""Pruning at once: second-order choice and least-squares repair, layer by layer, in the float network.

Where fine-tuning begins when data are few; converter/sparsity explains the method.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.ir import Graph
from lacewing.converter.progress import Progress
from lacewing.converter.quantization.layerwise import channel_means, clipped, plus_channels, run_node
from lacewing.converter.quantization.plan import LayerPlan
from lacewing.converter.sparsity.budget import LayerBudget
from lacewing.converter.sparsity.prune import prune_layer
from lacewing.converter.sparsity.saliency import is_normalized

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


def prune_once(
    graph: Graph,
    budgets: Mapping[str, LayerBudget],
    inputs: Mapping[str, Array],
    seed: int,
    progress: Progress,
) -> dict[str, Mask]:
    """Prunes and repairs the weights of ``graph`` in place; {layer: [rows][blocks] kept}.

    inputs: name -> [N, ...] f32, unlabelled samples.
    """
    generator = np.random.default_rng(seed)
    reference, current = dict(inputs), dict(inputs)
    last_use = {v: i for i, n in enumerate(graph.nodes) for v in n.inputs}
    kept: dict[str, Mask] = {}
    for i, node in enumerate(graph.nodes):
        wanted = run_node(graph, node, reference)
        budget = budgets.get(node.name)
        if budget is not None and budget.share:
            layer = LayerPlan.of(node)
            source = node.inputs[0]
            keep = prune_layer(
                node,
                layer,
                budget,
                current[source],
                reference[source],
                generator,
                normalized=is_normalized(graph, node),
            )
            assert keep is not None
            node.weights["weight"], kept[node.name] = layer.weight, keep
        got = run_node(graph, node, current)
        if kept and node.op in ("conv", "gemm") and not node.attrs.get("fixed"):
            # Least squares count deviations alone (docs/sparsity.md): the bias takes up what is left of the means.
            shift = channel_means(wanted) - channel_means(got)
            node.weights["bias"] = (node.weights["bias"] + shift).astype(np.float32)
            got = plus_channels(got, shift)
        reference[node.output], current[node.output] = clipped(node, wanted), clipped(node, got)
        for value in {v for v in node.inputs if last_use[v] == i}:
            del reference[value], current[value]
        progress("pruning", (i + 1) / len(graph.nodes))
    return kept
