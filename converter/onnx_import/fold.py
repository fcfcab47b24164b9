"""Evaluates a source node whose inputs are constants, or whose result depends on static shapes alone."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from onnx import ModelProto, NodeProto, helper
from onnx.reference import ReferenceEvaluator

from ..errors import ModelFileError
from .context import Array, Shape

MAX_FOLDED = 1 << 24  # elements; what ConstantOfShape, Expand, Tile and Range may grow to

# Operators that exporters use for shape arithmetic and for preparing weights. Anything else is not evaluated:
# a constant part of a network that needs more is the exporter's business.
_FOLDABLE = """Abs Add And Cast CastLike Ceil Clip Concat Constant ConstantOfShape Div Equal Erf Exp Expand Flatten Floor
    Gather GatherElements GatherND Greater GreaterOrEqual Identity Less LessOrEqual Log MatMul Max Min Mod Mul Neg
    Not Or Pad Pow Range Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Reshape Round ScatterND
    Shape Sign Size Slice Split Sqrt Squeeze Sub Tile Transpose Unsqueeze Where"""
FOLDABLE = frozenset(_FOLDABLE.split())


class FoldLimit(Exception):
    """A constant would grow beyond MAX_FOLDED elements."""


def fold_node(
    node: NodeProto, constants: Mapping[str, Array], shapes: Mapping[str, Shape], model: ModelProto
) -> dict[str, Array] | None:
    """The node's results by name, or None if they are not constant. Raises FoldLimit or ModelFileError."""
    if node.domain not in ("", "ai.onnx") or node.op_type not in FOLDABLE:
        return None
    if node.op_type in ("Shape", "Size") and node.input[0] in shapes:
        return _shape_result(node, shapes[node.input[0]])
    if any(name and name not in constants for name in node.input):
        return None
    _check_growth(node, constants)
    return _evaluate(node, constants, model)


def _shape_result(node: NodeProto, shape: Shape) -> dict[str, Array]:
    if node.op_type == "Size":
        return {node.output[0]: np.array(math.prod(shape), np.int64)}
    bounds = {attribute.name: attribute.i for attribute in node.attribute}
    part = shape[bounds.get("start", 0) : bounds.get("end", len(shape))]
    return {node.output[0]: np.array(part, np.int64)}


def _check_growth(node: NodeProto, constants: Mapping[str, Array]) -> None:
    """Refuses a small node with a huge result before it is computed."""
    arrays = [constants[name] for name in node.input if name]
    size = 0.0
    if node.op_type == "ConstantOfShape":
        size = math.prod(float(dim) for dim in arrays[0].flat)
    elif node.op_type == "Expand":
        size = math.prod(max(float(dim), 1.0) for dim in arrays[1].flat) * arrays[0].size
    elif node.op_type == "Tile":
        size = math.prod(float(dim) for dim in arrays[1].flat) * arrays[0].size
    elif node.op_type == "Range" and all(array.size == 1 for array in arrays):
        start, limit, delta = (float(array.flat[0]) for array in arrays)
        size = abs(limit - start) / abs(delta) if delta else math.inf
    elif node.op_type == "Pad" and len(arrays) > 1:
        rank = arrays[1].size // 2
        added = arrays[1].reshape(2, rank).sum(axis=0).tolist() if arrays[1].size % 2 == 0 else []
        shape = arrays[0].shape if len(added) == arrays[0].ndim else ()
        size = math.prod(float(dim + more) for dim, more in zip(shape, added, strict=False))
    elif node.op_type in ("Gather", "GatherND", "GatherElements"):
        size = float(arrays[0].size) * float(arrays[1].size) / max(min(arrays[0].shape or (1,)), 1)
    else:
        broadcast = [1.0] * 16
        for array in arrays:
            for axis, dim in enumerate(reversed(array.shape[:16])):
                broadcast[axis] = max(broadcast[axis], float(dim))
        size = math.prod(broadcast) if len(arrays) > 1 and node.op_type not in ("Concat", "Reshape") else 0.0
    if not size <= MAX_FOLDED and size > sum(array.size for array in arrays):
        raise FoldLimit(f"a constant of {size:.0f} elements is too large")


def _evaluate(node: NodeProto, constants: Mapping[str, Array], model: ModelProto) -> dict[str, Array]:
    names = [name for name in dict.fromkeys(node.input) if name]
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(constants[name].dtype), None)
        for name in names
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    graph = helper.make_graph([node], "constant", inputs, outputs)
    alone = helper.make_model(
        graph, opset_imports=list(model.opset_import), ir_version=max(model.ir_version, 4)
    )
    try:
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(alone).run(None, {name: constants[name] for name in names})
    except Exception as error:  # the evaluator raises whatever numpy raises on what the file says
        raise ModelFileError(f"{node.op_type} '{node.name}' cannot be evaluated: {error}") from error
    return {value.name: np.asarray(result) for value, result in zip(outputs, results, strict=True)}
