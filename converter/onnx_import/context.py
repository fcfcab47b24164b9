"""What a lowering works with: the source node as plain values, and the context that collects IR nodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.format.description import MAX_DIM, MAX_ELEMENTS

from ..errors import Problem
from ..ir import FloatArray, Graph, Node

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


class Unsupported(Exception):
    """Raised by a lowering; the importer turns it into a ``Problem`` of the node and goes on."""

    def __init__(self, reason: str, attribute: str = "", hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.attribute = attribute
        self.hint = hint


@dataclass(frozen=True)
class SourceNode:
    """One ONNX node: names of its values ("" for one left out), attributes as Python values."""

    op_type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: dict[str, Any]

    def input(self, index: int) -> str:
        """Name of an input, "" when it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def problem(self, error: Unsupported) -> Problem:
        """The error as an entry of the report."""
        return Problem(self.name, self.op_type, error.attribute, error.reason, error.hint)


Lowering = Callable[["Context", SourceNode], None]
LOWERINGS: dict[str, Lowering] = {}  # op type -> lowering: the one list of supported operators


def lowers(*op_types: str) -> Callable[[Lowering], Lowering]:
    """Registers a function as the lowering of ``op_types``."""

    def register(function: Lowering) -> Lowering:
        for op_type in op_types:
            LOWERINGS[op_type] = function
        return function

    return register


@dataclass
class Context:
    """The graph under construction and what is known of the source: shapes, constants, opset."""

    graph: Graph
    constants: dict[str, Array]
    opset: int
    dtypes: dict[str, int] = field(default_factory=dict)  # ONNX element types of activations
    read: frozenset[str] = frozenset()  # values that some node or graph output reads
    source: str = ""  # the node being lowered
    _names: set[str] = field(default_factory=set)

    def shape(self, value: str) -> Shape:
        """Static shape of a value; raises Unsupported if inference did not find it."""
        if value in self.constants:
            return tuple(self.constants[value].shape)
        shape = self.graph.shapes.get(value)
        if shape is None:
            raise Unsupported(
                f"the shape of '{value}' is not static", hint="give --input-shape, or simplify with onnxsim"
            )
        if min(shape, default=1) < 1:
            raise Unsupported(f"'{value}' is empty: shape {list(shape)}")
        return shape

    def check_size(self, value: str) -> None:
        """Raises Unsupported, before any work is done, for a value that no ``.lace`` file can hold."""
        shape = self.shape(value)
        if max(shape, default=1) > MAX_DIM or math.prod(shape) > MAX_ELEMENTS:
            raise Unsupported(
                f"shape {list(shape)} is too large", hint="cut the model there or shrink its input"
            )

    def single_output(self, node: SourceNode, what: str, hint: str) -> None:
        """Raises Unsupported if anyone reads more than the node's first result."""
        if self.read.intersection(node.outputs[1:]):
            raise Unsupported(f"it returns {what}", "outputs", hint)

    def constant(self, node: SourceNode, index: int, what: str) -> Array:
        """Input ``index`` as an array; raises Unsupported if it is left out or computed at run time."""
        name = node.input(index)
        if name not in self.constants:
            raise Unsupported("it must be a constant", what)
        return self.constants[name]

    def optional(self, node: SourceNode, index: int, what: str) -> Array | None:
        """Like ``constant``, None when the input is left out."""
        return self.constant(node, index, what) if node.input(index) else None

    def floats(self, node: SourceNode, index: int, what: str) -> FloatArray:
        """Input ``index`` as finite float32."""
        wide = self.floats_or_ints(node, index, what).astype(np.float32)
        if not np.isfinite(wide).all():
            raise Unsupported("it holds NaN or infinity", what, "check the training or export")
        return wide

    def floats_or_ints(self, node: SourceNode, index: int, what: str) -> Array:
        """Input ``index`` as an array of real numbers."""
        array = self.constant(node, index, what)
        if array.dtype.kind not in "fiu":
            raise Unsupported(f"element type {array.dtype} is not a number", what)
        return array

    def activation(self, node: SourceNode, index: int = 0) -> str:
        """Name of an input that is computed at run time; raises Unsupported for a constant."""
        name = node.input(index)
        if name in self.constants:
            raise Unsupported("a constant stands where an activation is needed", f"input {index}")
        if not name:
            raise Unsupported("the input is missing", f"input {index}")
        self.shape(name)
        return name

    def image(self, node: SourceNode, index: int = 0) -> tuple[str, Shape]:
        """An activation of shape [1, C, H, W] and that shape."""
        name = self.activation(node, index)
        shape = self.shape(name)
        if len(shape) != 4 or shape[0] != 1:
            raise Unsupported(
                f"shape {list(shape)} is not [1, C, H, W]", f"input {index}", "only 2-D images of batch 1 run"
            )
        return name, shape

    def emit(
        self,
        op: str,
        inputs: Sequence[str],
        output: str,
        attrs: dict[str, Any] | None = None,
        weights: dict[str, FloatArray] | None = None,
    ) -> str:
        """Appends an IR node that computes ``output``; returns ``output``."""
        name = self._unique(self.source or output)
        self.graph.nodes.append(
            Node(op, name, list(inputs), output, attrs or {}, weights or {}, [self.source or output])
        )
        return output

    def fresh(self, base: str, shape: Sequence[int]) -> str:
        """A new intermediate value."""
        name = self._unique(f"{base}/part")
        while name in self.graph.shapes or name in self.constants:
            name = self._unique(f"{base}/part")
        self.graph.shapes[name] = tuple(int(dim) for dim in shape)
        return name

    def _unique(self, base: str) -> str:
        name, count = base, 1
        while name in self._names:
            name, count = f"{base}_{count}", count + 1
        self._names.add(name)
        return name

    def reshape(self, value: str, shape: Sequence[int], output: str = "") -> str:
        """``value`` in another shape, into ``output`` or a new value."""
        dims = tuple(int(dim) for dim in shape)
        target = output or self.fresh(value, dims)
        return self.emit("reshape", [value], target, {"shape": dims})

    def transpose(self, value: str, perm: Sequence[int], output: str = "") -> str:
        """``value`` with output dim i = input dim perm[i]."""
        shape = self.shape(value)
        target = output or self.fresh(value, [shape[i] for i in perm])
        return self.emit("transpose", [value], target, {"perm": tuple(int(i) for i in perm)})
