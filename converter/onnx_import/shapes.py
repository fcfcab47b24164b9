"""Static shapes: freezes graph inputs, then lets ONNX infer and folds what has become constant, to a fixed point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from ..errors import ModelFileError, OptionError, Problem
from .context import Array, Shape
from .fold import FoldLimit, fold_node

SMALL = 1024  # elements; inference needs the values of shape tensors, never those of weights
MAX_ROUNDS = 64


@dataclass
class StaticGraph:
    """The source with static shapes; ``nodes`` are those left after folding, ``constants`` every known array."""

    inputs: dict[str, Shape]
    outputs: list[str]
    nodes: list[NodeProto]
    constants: dict[str, Array]
    shapes: dict[str, Shape] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)


def make_static(
    model: ModelProto, input_shapes: Mapping[str, Sequence[int]], problems: list[Problem]
) -> StaticGraph:
    """Shapes, folded constants and remaining nodes of ``model`` for fixed input shapes.

    Appends to ``problems`` what cannot be folded. Raises OptionError for input shapes that are missing or do
    not fit, ModelFileError for damaged tensors or contradicting shapes.
    """
    constants = {tensor.name: _array(tensor) for tensor in model.graph.initializer}
    inputs = _freeze_inputs(model, constants, input_shapes)
    outputs = [value.name for value in model.graph.output]
    static = StaticGraph(inputs, outputs, list(model.graph.node), constants)
    for _ in range(MAX_ROUNDS):
        static.shapes, static.types = _infer(model, static)
        if not _fold(model, static, problems):
            return static
    raise ModelFileError("the shapes of the model do not settle; simplify it with onnxsim")


def _array(tensor: TensorProto) -> Array:
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise ModelFileError(f"tensor '{tensor.name}' is damaged: {error}") from error


def _freeze_inputs(
    model: ModelProto, constants: Mapping[str, Array], wanted: Mapping[str, Sequence[int]]
) -> dict[str, Shape]:
    values = [value for value in model.graph.input if value.name not in constants]
    unknown = sorted(set(wanted) - {value.name for value in values})
    if unknown:
        names = ", ".join(value.name for value in values)
        raise OptionError(
            f"--input-shape names no input of the model: {', '.join(unknown)} (it has: {names})"
        )
    frozen: dict[str, Shape] = {}
    missing: list[str] = []
    for value in values:
        shape = _frozen_shape(value, wanted.get(value.name))
        if shape is None:
            missing.append(f"{value.name} [{', '.join(_declared(value))}]")
        else:
            frozen[value.name] = shape
    if missing:
        raise OptionError(
            f"the model leaves dimensions open: {'; '.join(missing)}. "
            "Fix them with --input-shape NAME:1x3x224x224 (once per input)"
        )
    return frozen


def _declared(value: ValueInfoProto) -> list[str]:
    dims = value.type.tensor_type.shape.dim
    return [str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?" for dim in dims]


def _frozen_shape(value: ValueInfoProto, wanted: Sequence[int] | None) -> Shape | None:
    """The shape the input gets, None if a dimension other than the batch stays open."""
    tensor = value.type.tensor_type
    declared = [
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else 0 for dim in tensor.shape.dim
    ]
    if wanted is not None:
        shape = tuple(int(dim) for dim in wanted)
        fits = not tensor.HasField("shape") or (
            len(shape) == len(declared) and all(d in (0, w) for d, w in zip(declared, shape, strict=True))
        )
        if min(shape, default=1) < 1 or not fits:
            raise OptionError(
                f"--input-shape {value.name}:{'x'.join(map(str, shape))} does not fit [{', '.join(_declared(value))}]"
            )
        return shape
    if not tensor.HasField("shape"):
        return None
    if declared and declared[0] == 0:
        declared[0] = 1
    return tuple(declared) if all(declared) else None


def _infer(model: ModelProto, static: StaticGraph) -> tuple[dict[str, Shape], dict[str, int]]:
    """Shapes and element types that ONNX infers for a copy of the model without its weights."""
    skeleton = ModelProto()
    skeleton.ir_version = max(model.ir_version, 4)  # from 4 on an initializer need not be an input
    skeleton.opset_import.extend(model.opset_import)
    graph = skeleton.graph
    graph.name = "skeleton"
    graph.node.extend(static.nodes)
    for value in model.graph.input:
        if value.name in static.inputs:
            dtype = value.type.tensor_type.elem_type
            graph.input.append(helper.make_tensor_value_info(value.name, dtype, static.inputs[value.name]))
    used = {name for node in static.nodes for name in node.input}
    for name, array in static.constants.items():
        if name in used and array.size <= SMALL:
            graph.initializer.append(numpy_helper.from_array(array, name))
        elif name in used:
            dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
            graph.input.append(helper.make_tensor_value_info(name, dtype, array.shape))
    try:
        inferred = onnx.shape_inference.infer_shapes(skeleton, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise ModelFileError(f"the shapes of the model contradict each other: {error}") from error
    shapes: dict[str, Shape] = dict(static.inputs)
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.input}
    for value in inferred.value_info:
        tensor = value.type.tensor_type
        types[value.name] = tensor.elem_type
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            shapes[value.name] = tuple(dim.dim_value for dim in tensor.shape.dim)
    return shapes, types


def _fold(model: ModelProto, static: StaticGraph, problems: list[Problem]) -> bool:
    """Evaluates every node whose result is now known; False when there was none."""
    left: list[NodeProto] = []
    known = len(static.constants)
    for node in static.nodes:
        try:
            results = fold_node(node, static.constants, static.shapes, model)
        except FoldLimit as error:
            problem = Problem(node.name, node.op_type, "", str(error))
            if problem not in problems:
                problems.append(problem)
            results = None
        if results is None:
            left.append(node)
        else:
            static.constants.update(results)
    static.nodes = left
    return len(static.constants) > known


def elements(shape: Sequence[int]) -> int:
    """Number of elements of a shape; 1 for a scalar."""
    return math.prod(shape)
