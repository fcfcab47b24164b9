"""The IR as an ONNX model: one function per canonical operator. Execution and ``inspect --onnx`` share it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .ir import Graph, Node

OPSET = 20
IR_VERSION = 9
BATCH = "batch"  # name of the symbolic batch dimension

Emitter = Callable[["Writer", Node], None]
EMITTERS: dict[str, Emitter] = {}


def emits(op: str) -> Callable[[Emitter], Emitter]:
    """Registers the function that writes the canonical operator ``op``."""

    def register(function: Emitter) -> Emitter:
        EMITTERS[op] = function
        return function

    return register


def is_batchable(graph: Graph) -> bool:
    """Whether axis 0 is the batch of every value, so that many samples may run as one."""
    if any(not shape or shape[0] != 1 for shape in graph.shapes.values()):
        return False
    for node in graph.nodes:
        if node.op in ("concat", "softmax") and int(node.attrs["axis"]) == 0:
            return False
        if node.op == "transpose" and node.attrs["perm"][0] != 0:
            return False
    return True


def to_onnx(graph: Graph, outputs: Sequence[str] | None = None, symbolic_batch: bool = False) -> ModelProto:
    """``graph`` as a float32 ONNX model whose values keep their names.

    ``outputs`` replaces the graph's outputs by any values of it. ``symbolic_batch`` leaves axis 0 open; it
    needs ``is_batchable``. Raises KeyError for an operator or value that the IR does not have.
    """
    writer = Writer(graph)
    for node in graph.nodes:
        EMITTERS[node.op](writer, node)

    def describe(name: str) -> onnx.ValueInfoProto:
        shape: list[int | str] = list(graph.shapes[name])
        if symbolic_batch:
            shape[0] = BATCH
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    wanted = graph.outputs if outputs is None else outputs
    body = helper.make_graph(
        writer.nodes,
        graph.name,
        [describe(name) for name in graph.inputs],
        [describe(name) for name in dict.fromkeys(wanted)],
        writer.initializers,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(body, opset_imports=opsets, ir_version=IR_VERSION, producer_name="lacewing")


class Writer:
    """Collects ONNX nodes and initializers; names of helpers start with the IR node's output."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []

    def constant(self, node: Node, name: str, array: Any) -> str:
        """An initializer that belongs to ``node``."""
        full = f"{node.output}::{name}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), full))
        return full

    def add(self, op_type: str, inputs: Sequence[str], node: Node, **attrs: Any) -> None:
        """One ONNX node that computes the IR node's output, with the fused clamp after it."""
        target = node.output
        if "clip" in node.attrs:
            target = f"{node.output}::unclipped"
        self.nodes.append(helper.make_node(op_type, list(inputs), [target], name=node.name, **attrs))
        if "clip" in node.attrs:
            low, high = node.attrs["clip"]
            self.clip(target, float(low), float(high), node)

    def clip(self, value: str, low: float, high: float, node: Node) -> None:
        """Clamps ``value`` into the node's output; an infinite bound is left out."""
        bounds = [
            self.constant(node, name, np.float32(bound)) if math.isfinite(bound) else ""
            for name, bound in (("min", low), ("max", high))
        ]
        self.nodes.append(
            helper.make_node("Clip", [value, *bounds], [node.output], name=f"{node.name}::clip")
        )

    def step(self, op_type: str, inputs: Sequence[str], node: Node, name: str, **attrs: Any) -> str:
        """An ONNX node with an intermediate result; returns its name."""
        result = f"{node.output}::{name}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [result], name=result, **attrs))
        return result

    def per_channel(self, node: Node, name: str) -> str:
        """A weight [C] shaped to broadcast along axis 1 of the node's output."""
        rank = len(self.graph.shapes[node.output])
        array = node.weights[name].reshape((-1,) + (1,) * max(rank - 2, 0))
        return self.constant(node, name, array)


@emits("conv")
def _conv(writer: Writer, node: Node) -> None:
    weight = node.weights["weight"]
    inputs = [
        node.inputs[0],
        writer.constant(node, "weight", weight),
        writer.constant(node, "bias", node.weights["bias"]),
    ]
    writer.add(
        "Conv",
        inputs,
        node,
        kernel_shape=list(weight.shape[2:]),
        strides=list(node.attrs["strides"]),
        dilations=list(node.attrs["dilations"]),
        pads=list(node.attrs["pads"]),
        group=int(node.attrs["groups"]),
    )


@emits("gemm")
def _gemm(writer: Writer, node: Node) -> None:
    weights = [writer.constant(node, name, node.weights[name]) for name in ("weight", "bias")]
    writer.add("Gemm", [node.inputs[0], *weights], node, transB=1)


@emits("batch_norm")
def _batch_norm(writer: Writer, node: Node) -> None:
    weights = [
        writer.constant(node, name, node.weights[name]) for name in ("scale", "offset", "mean", "variance")
    ]
    writer.add("BatchNormalization", [node.inputs[0], *weights], node, epsilon=float(node.attrs["epsilon"]))


@emits("add")
def _add(writer: Writer, node: Node) -> None:
    writer.add("Add", node.inputs, node)


@emits("mul")
def _mul(writer: Writer, node: Node) -> None:
    writer.add("Mul", node.inputs, node)


@emits("affine")
def _affine(writer: Writer, node: Node) -> None:
    scaled = writer.step("Mul", [node.inputs[0], writer.per_channel(node, "scale")], node, "scaled")
    writer.add("Add", [scaled, writer.per_channel(node, "offset")], node)


@emits("clip")
def _clip(writer: Writer, node: Node) -> None:
    writer.clip(node.inputs[0], float(node.attrs["min"]), float(node.attrs["max"]), node)


# IR function -> (ONNX operator, attributes taken over, fixed attributes)
_UNARY: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "sigmoid": ("Sigmoid", (), {}),
    "tanh": ("Tanh", (), {}),
    "hard_sigmoid": ("HardSigmoid", ("alpha", "beta"), {}),
    "hard_swish": ("HardSwish", (), {}),
    "leaky_relu": ("LeakyRelu", ("alpha",), {}),
    "elu": ("Elu", ("alpha",), {}),
    "softplus": ("Softplus", (), {}),
    "mish": ("Mish", (), {}),
    "gelu": ("Gelu", (), {}),
    "gelu_tanh": ("Gelu", (), {"approximate": "tanh"}),
    "erf": ("Erf", (), {}),
    "exp": ("Exp", (), {}),
    "abs": ("Abs", (), {}),
    "sqrt": ("Sqrt", (), {}),
}
UNARY_FUNCTIONS = frozenset(_UNARY) | {"silu"}


@emits("unary")
def _unary(writer: Writer, node: Node) -> None:
    if node.attrs["function"] == "silu":
        gate = writer.step("Sigmoid", node.inputs, node, "gate")
        writer.add("Mul", [node.inputs[0], gate], node)
        return
    op_type, names, fixed = _UNARY[node.attrs["function"]]
    writer.add(op_type, node.inputs, node, **{name: float(node.attrs[name]) for name in names}, **fixed)


@emits("prelu")
def _prelu(writer: Writer, node: Node) -> None:
    writer.add("PRelu", [node.inputs[0], writer.per_channel(node, "slope")], node)


def _window(node: Node) -> dict[str, list[int]]:
    return {
        "kernel_shape": list(node.attrs["kernel"]),
        "strides": list(node.attrs["strides"]),
        "pads": list(node.attrs["pads"]),
    }


@emits("avg_pool")
def _avg_pool(writer: Writer, node: Node) -> None:
    writer.add(
        "AveragePool", node.inputs, node, count_include_pad=int(node.attrs["include_pad"]), **_window(node)
    )


@emits("max_pool")
def _max_pool(writer: Writer, node: Node) -> None:
    writer.add("MaxPool", node.inputs, node, **_window(node))


@emits("concat")
def _concat(writer: Writer, node: Node) -> None:
    writer.add("Concat", node.inputs, node, axis=int(node.attrs["axis"]))


@emits("pad")
def _pad(writer: Writer, node: Node) -> None:
    top, left, bottom, right = node.attrs["pads"]
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    writer.add("Pad", [node.inputs[0], writer.constant(node, "pads", pads)], node)


@emits("resize")
def _resize(writer: Writer, node: Node) -> None:
    sizes = np.array(node.attrs["size"], np.int64)
    writer.add(
        "Resize",
        [node.inputs[0], "", "", writer.constant(node, "sizes", sizes)],
        node,
        axes=[2, 3],
        mode={"nearest": "nearest", "bilinear": "linear"}[node.attrs["mode"]],
        coordinate_transformation_mode=node.attrs["coordinates"],
        nearest_mode=node.attrs.get("rounding", "round_prefer_floor"),
    )


@emits("softmax")
def _softmax(writer: Writer, node: Node) -> None:
    writer.add("Softmax", node.inputs, node, axis=int(node.attrs["axis"]))


@emits("reshape")
def _reshape(writer: Writer, node: Node) -> None:
    shape = list(node.attrs["shape"])
    if shape and shape[0] == 1 and writer.graph.shapes[node.inputs[0]][:1] == (1,):
        shape[0] = -1  # the batch may be symbolic
    writer.add("Reshape", [node.inputs[0], writer.constant(node, "shape", np.array(shape, np.int64))], node)


@emits("transpose")
def _transpose(writer: Writer, node: Node) -> None:
    writer.add("Transpose", node.inputs, node, perm=list(node.attrs["perm"]))
