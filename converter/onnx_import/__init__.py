"""ONNX import: ``import_onnx`` turns a file into the IR, one node after the other, listing all it cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from ..errors import ModelFileError, Problem, UnsupportedModelError
from ..ir import Graph
from ..passes.dead_code import remove_dead_code
from . import activations, arithmetic, convolution, movement, pooling, selection  # noqa: F401  (register lowerings)
from .context import LOWERINGS, Context, SourceNode, Unsupported
from .float16 import widen
from .fold import FOLDABLE
from .hints import hint_for
from .load import opset_of, read_model
from .shapes import StaticGraph, make_static

__all__ = ["import_model", "import_onnx"]


def import_onnx(path: str | Path, input_shapes: Mapping[str, Sequence[int]] | None = None) -> Graph:
    """The network in the ONNX file ``path`` as IR, before any pass; the batch is 1.

    ``input_shapes`` fixes dimensions that the file leaves open, e.g. ``{"images": (1, 3, 224, 224)}``.
    Raises ModelFileError for a file that cannot be read, OptionError for missing or wrong input shapes,
    UnsupportedModelError with every node that cannot be expressed.
    """
    return import_model(read_model(path), path, input_shapes)


def import_model(
    model: ModelProto, where: str | Path, input_shapes: Mapping[str, Sequence[int]] | None = None
) -> Graph:
    """``import_onnx`` for a model in memory, all its tensors inside; ``where`` names it, in errors too."""
    problems = _unknown_operators(model)
    _check(where, model, problems)
    try:
        widen(model)
    except (ValueError, TypeError) as error:
        raise ModelFileError(f"{where}: a float16 tensor is damaged: {error}") from error
    static = make_static(model, input_shapes or {}, problems)
    problems += _interface_problems(static)
    context = Context(
        Graph(
            model.graph.name or Path(where).stem, list(static.inputs), static.outputs, [], dict(static.shapes)
        ),
        static.constants,
        opset_of(model),
        static.types,
        frozenset(static.outputs).union(*(node.input for node in static.nodes)) - {""},
    )
    _lower_all(static, context, problems)
    if problems:
        raise UnsupportedModelError(problems)
    remove_dead_code(context.graph)
    return context.graph


def _unknown_operators(model: ModelProto) -> list[Problem]:
    problems = []
    for index, node in enumerate(model.graph.node):
        known = node.domain in ("", "ai.onnx") and node.op_type in FOLDABLE | LOWERINGS.keys()
        if not known:
            name = node.name or f"{node.op_type}_{index}"
            domain = f" of domain {node.domain}" if node.domain not in ("", "ai.onnx") else ""
            problems.append(
                Problem(name, node.op_type, "", f"unsupported operator{domain}", hint_for(node.op_type))
            )
    return problems


def _check(where: str | Path, model: ModelProto, problems: list[Problem]) -> None:
    """Validates the model. With operators the checker may not know, those are what the user has to hear of."""
    for value in model.graph.output:
        # Exporters leave it out, the checker insists, and inference finds it anyway.
        value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        if problems:
            raise UnsupportedModelError(problems) from error
        raise ModelFileError(f"{where}: not a valid ONNX model: {error}") from error
    if model.graph.sparse_initializer:
        problems.append(
            Problem(model.graph.name, "graph", "sparse_initializer", "sparse initializers are not read")
        )


def _interface_problems(static: StaticGraph) -> list[Problem]:
    problems = []
    for name in static.inputs:
        dtype = static.types.get(name, TensorProto.FLOAT)
        if dtype != TensorProto.FLOAT:
            known = dtype in TensorProto.DataType.values()
            text = TensorProto.DataType.Name(dtype).lower() if known else str(dtype)
            problems.append(
                Problem(
                    name, "input", "", f"element type {text} is not float32", "cut the model after its casts"
                )
            )
    for name in static.outputs:
        if name in static.constants:
            problems.append(
                Problem(name, "output", "", "it does not depend on any input", "remove the output")
            )
        elif name in static.inputs:
            problems.append(Problem(name, "output", "", "it is an input of the model", "remove the output"))
    return problems


def _lower_all(static: StaticGraph, context: Context, problems: list[Problem]) -> None:
    reported = {problem.node for problem in problems}
    unknown: set[str] = set()  # values of reported nodes: what follows from them is not a second problem
    for index, proto in enumerate(static.nodes):
        node = _source_node(proto, index)
        if node.name in reported or unknown.intersection(node.inputs):
            unknown.update(name for name in node.outputs if name and name not in context.graph.shapes)
            continue
        context.source = node.name
        try:
            lowering = LOWERINGS.get(node.op_type)
            if lowering is None:
                hint = "its inputs are computed at run time; simplify with onnxsim or cut the model before it"
                raise Unsupported("supported on constants only", hint=hint)
            results = context.read.intersection(node.outputs)
            if not results:
                continue
            for name in results:
                context.check_size(name)
            lowering(context, node)
        except Unsupported as error:
            problems.append(node.problem(error))
            unknown.update(name for name in node.outputs if name and name not in context.graph.shapes)


def _source_node(proto: NodeProto, index: int) -> SourceNode:
    attrs: dict[str, Any] = {}
    for attribute in proto.attribute:
        try:
            value = helper.get_attribute_value(attribute)
            if isinstance(value, TensorProto):
                value = numpy_helper.to_array(value)
        except (ValueError, TypeError) as error:
            raise ModelFileError(
                f"{proto.op_type} '{proto.name}': attribute {attribute.name}: {error}"
            ) from error
        attrs[attribute.name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    name = proto.name or f"{proto.op_type}_{index}"
    return SourceNode(proto.op_type, name, tuple(proto.input), tuple(proto.output), attrs)
