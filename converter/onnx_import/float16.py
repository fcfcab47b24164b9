"""Widens a float16 or bfloat16 model to float32: same graph, every half tensor and type rewritten."""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper

HALF = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


def widen(model: ModelProto) -> None:
    """Rewrites ``model`` in place; a float32 model is left as it is."""
    _widen_graph(model.graph)


def _widen_graph(graph: GraphProto) -> None:
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for value in (*graph.input, *graph.output, *graph.value_info):
        _widen_type(value)
    for node in graph.node:
        _widen_node(node)


def _widen_tensor(tensor: TensorProto) -> None:
    if tensor.data_type in HALF:
        wide = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))


def _widen_type(value: ValueInfoProto) -> None:
    if value.type.tensor_type.elem_type in HALF:
        value.type.tensor_type.elem_type = TensorProto.FLOAT


def _widen_node(node: NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            _widen_tensor(attribute.t)
        if attribute.HasField("g"):
            _widen_graph(attribute.g)
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i in HALF:
            attribute.i = TensorProto.FLOAT
