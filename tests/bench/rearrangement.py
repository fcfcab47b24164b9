"""Prints docs/sparsity.md's table of what rearrangement brings: what share of the saliency stays in the kept blocks.

Needs ../shared/data and a few minutes: python tests/bench/rearrangement.py [NETWORK ...]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from accuracy.networks import pretrained_resnet

from lacewing.converter.ir import Graph
from lacewing.converter.source import load_graph
from lacewing.converter.sparsity.columns import to_columns
from lacewing.converter.sparsity.obs import Block
from lacewing.converter.sparsity.permutation_sets import is_dense
from lacewing.converter.sparsity.rearrange import Rearrangement, rearrange
from lacewing.converter.sparsity.saliency import weight_saliency
from lacewing.format.description import QUAD

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MOBILENET = DATA / "mobilenet_imagenet" / "float" / "mobilenet_v2_1.0_224_float.onnx"
SHARES = (0.5, 0.75)
BLOCKS = ((1, 4), (2, 4), (4, 4), (8, 4), (4, 8))


def resnet(depth: int) -> Graph:
    """One of the pretrained networks for CIFAR-10."""
    return load_graph(pretrained_resnet(depth, DATA), {"image": (1, 3, 32, 32)})


NETWORKS: dict[str, Callable[[], Graph]] = {
    "ResNet-20": lambda: resnet(20),
    "ResNet-56": lambda: resnet(56),
    "MobileNet-v2 1.0/224": lambda: load_graph(MOBILENET, {}),
}


def measure(graph: Graph, rows: int, columns: int, share: float) -> tuple[Rearrangement, float, float]:
    """(result, what single weights would keep, seconds of processor time); all dense layers but the first."""
    layers = [n for n in graph.nodes if n.op in ("conv", "gemm") and is_dense(n) and not n.attrs.get("fixed")]
    weights = {n.name: to_columns(n.weights["weight"]) for n in layers if n.inputs[0] not in graph.inputs}
    blocks = {n: Block(rows, columns if w.shape[1] % columns == 0 else QUAD) for n, w in weights.items()}
    saliency = weight_saliency(graph, blocks)
    started = time.process_time()
    result = rearrange(graph, saliency, blocks, dict.fromkeys(blocks, share))
    seconds = time.process_time() - started
    return result, float(np.mean([largest(s, 1 - share) for s in saliency.values()])), seconds


def largest(saliency: np.ndarray, share: float) -> float:
    """What the largest ``share`` of single weights holds of the whole."""
    weights = np.sort(saliency, axis=None)[::-1]
    return float(weights[: round(share * len(weights))].sum() / weights.sum())


def main(names: list[str]) -> None:
    """Prints one row per network and block: as trained -> rearranged (single weights), and the slower search."""
    print("| network | block |" + "".join(f" {share:.0%} gone |" for share in SHARES) + " seconds |")
    print("|---|---|" + "---|" * len(SHARES) + "---|")
    for name in names or NETWORKS:
        graph = NETWORKS[name]()
        for rows, columns in BLOCKS:
            runs = [measure(graph, rows, columns, share) for share in SHARES]
            cells = [
                f"{100 * r.before:.1f} -> {100 * r.after:.1f} ({100 * single:.1f})" for r, single, _ in runs
            ]
            print(
                f"| {name} | {rows}x{columns} | {' | '.join(cells)} | {max(s for _, _, s in runs):.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
