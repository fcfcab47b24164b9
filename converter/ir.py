"""The intermediate representation: a float network of few, canonical operators, NCHW, batch 1.

Importers build it, passes rewrite it, calibration runs it (``execute.py``), quantization annotates it,
``lower.py`` turns it into a ``lacewing.format.Model``.

Canonical operators (``Node.op``) and their attributes; weights are float32 arrays in ``Node.weights``:

| op | inputs | attrs | weights |
|---|---|---|---|
| conv | x [1,C,H,W] | strides, dilations (h, w), pads (top, left, bottom, right), groups | weight [O,C/g,kh,kw], bias [O] |
| gemm | x [1,K] (rank 2) | | weight [O,K], bias [O] |
| batch_norm | x | epsilon | scale, offset, mean, variance: [C] (folded by a pass) |
| add, mul | a, b: same shape, or mul's b [1,C,1,1] | | |
| affine | x | | scale [C], offset [C] (x*scale+offset; constants of Mul/Add/Sub/Div) |
| clip | x | min, max (either may be +-inf): relu is (0, inf), relu6 (0, 6) | |
| unary | x | function: sigmoid, tanh, hard_sigmoid, hard_swish, silu, gelu, leaky_relu, elu ...; alpha, beta | |
| prelu | x | | slope [C] or [1] |
| avg_pool, max_pool | x | kernel (h, w), strides, pads (t, l, b, r); avg: include_pad | |
| concat | several | axis | |
| pad | x | pads (t, l, b, r); value 0.0 | |
| resize | x | mode nearest|bilinear, size (h, w), coordinates half_pixel|asymmetric|align_corners, rounding | |
| softmax | x | axis | |
| reshape | x | shape | |
| transpose | x | perm | |

A conv with ``attrs["fixed"]`` selects or repeats channels: its zeros and ones are the operator, not learned.
Fusion may set ``attrs["clip"] = (min, max)`` on conv, gemm, add, mul and avg_pool: the clamp that follows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


@dataclass
class Node:
    """One operator with one result. ``source`` names the nodes of the source network it came from."""

    op: str
    name: str
    inputs: list[str]
    output: str
    attrs: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, FloatArray] = field(default_factory=dict)
    source: list[str] = field(default_factory=list)


@dataclass
class Graph:
    """Nodes in execution order; ``shapes`` has the static shape of every value, inputs and outputs included."""

    name: str
    inputs: list[str]
    outputs: list[str]
    nodes: list[Node]
    shapes: dict[str, tuple[int, ...]]

    def producer(self, value: str) -> Node | None:
        """The node that computes ``value``; None for a graph input."""
        return next((n for n in self.nodes if n.output == value), None)

    def consumers(self, value: str) -> list[Node]:
        """The nodes that read ``value``, in order."""
        return [n for n in self.nodes if value in n.inputs]

    def only_reader(self, value: str) -> Node | None:
        """The node that alone reads ``value``; None if several do, or a graph output shows it."""
        readers = self.consumers(value)
        return readers[0] if len(readers) == 1 and value not in self.outputs else None

    def replace_uses(self, old: str, new: str) -> None:
        """Every reader of ``old``, graph outputs included, reads ``new`` instead."""
        for node in self.nodes:
            node.inputs = [new if v == old else v for v in node.inputs]
        self.outputs = [new if v == old else v for v in self.outputs]

    def macs(self, node: Node) -> int:
        """Dense multiply-accumulates of a conv or gemm; 0 for the rest."""
        if node.op not in ("conv", "gemm"):
            return 0
        shape = self.shapes[node.output]
        pixels = int(np.prod(shape[2:])) if len(shape) == 4 else 1
        return int(node.weights["weight"].size) * pixels
