"""Writes a ``.lace`` model as an ONNX file with QuantizeLinear / DequantizeLinear pairs, for viewers and other tools.

The twin shows the quantized network: weights are the file's int8 values, activations carry the file's scales and zero
points and are clipped to seven bits. It computes in float, so it follows the engine closely but not to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from lacewing.converter.output import write_atomically
from lacewing.format.description import ACTIVATION_MAX, ENCODINGS, QUAD, RESIZE_MODES
from lacewing.format.model import Model, Op, ceil_div

Array = npt.NDArray[Any]
OPSET = 21
_IR_VERSION = 10


def export(file: bytes, output: Path) -> None:
    """Writes the verified ``.lace`` file as ONNX; the output appears whole or not at all. Raises OutputError."""
    write_atomically(output, to_twin(Model.from_bytes(file)).SerializeToString())


def to_twin(model: Model) -> onnx.ModelProto:
    """The model as an ONNX graph of opset 21, checked."""
    twin = _Twin(model)
    for op in model.ops:
        _EMIT[op.kind](twin, op)
    graph = helper.make_graph(
        twin.nodes,
        "lacewing",
        [_value(model, i) for i in model.inputs],
        [_value(model, i) for i in model.outputs],
        twin.constants,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="lacewing")
    helper.set_model_props(proto, {key: json.dumps(value) for key, value in model.metadata.items()})
    onnx.checker.check_model(proto)
    return proto


def _value(model: Model, index: int) -> onnx.ValueInfoProto:
    tensor = model.tensors[index]
    return helper.make_tensor_value_info(_name(model, index), TensorProto.FLOAT, list(tensor.dims))


def _name(model: Model, index: int) -> str:
    name = model.tensors[index].name
    return name if index in (*model.inputs, *model.outputs) else f"{name}:{index}"


class _Twin:
    """Nodes and constants so far. Every value is float: u7 tensors stand behind their DequantizeLinear."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: npt.ArrayLike) -> str:
        """The name of a new initializer."""
        name = f"constant:{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        """Adds a node; returns the name of its result."""
        result = output or f"value:{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [result], f"{kind}:{len(self.nodes)}", **attributes))
        return result

    def source(self, op: Op, which: int = 0) -> str:
        """The value that the operator reads."""
        return _name(self.model, op.inputs[which])

    def finish(self, op: Op, value: str) -> None:
        """Makes ``value`` the operator's result: clipped, quantized and dequantized where it is u7."""
        tensor = self.model.tensors[op.output]
        output = _name(self.model, op.output)
        if tensor.dtype == "f32":
            self.node("Identity", [value], output)
            return
        low, high = op.attributes.get("clamp_min", 0), op.attributes.get("clamp_max", ACTIVATION_MAX)
        bounds = (np.array([low, high]) - tensor.zero_point) * tensor.scale
        limits = [self.constant(np.float32(bound)) for bound in bounds]
        scale = [self.constant(np.float32(tensor.scale)), self.constant(np.uint8(tensor.zero_point))]
        clipped = self.node("Clip", [value, *limits])
        self.node("DequantizeLinear", [self.node("QuantizeLinear", [clipped, *scale]), *scale], output)


def _pads(op: Op) -> list[int]:
    return [int(op.attributes[f"pad_{side}"]) for side in ("top", "left", "bottom", "right")]


def _pair(op: Op, name: str) -> list[int]:
    return [int(op.attributes[f"{name}_h"]), int(op.attributes[f"{name}_w"])]


def _conv_weights(model: Model, op: Op) -> Array:
    """[O,C,kh,kw] int8 of a conv, its dropped blocks filled with zeros; [C,1,kh,kw] of a depthwise."""
    kernel = _pair(op, "kernel")
    channels = model.tensors[op.inputs[0]].dims[1]
    weights = op.data["weights"]
    if op.kind == "depthwise":
        return np.asarray(weights.transpose(0, 2, 1).reshape(-1, 1, *kernel)[:channels])
    c4, rows = ceil_div(channels, QUAD), int(op.attributes["block_rows"])
    k4 = c4 * kernel[0] * kernel[1]
    blocks = np.zeros((len(op.data["bias"]) // rows * k4, rows, QUAD), np.int8)
    kept: Any = slice(None)
    if op.attributes["encoding"] == ENCODINGS["bitmask"]:
        kept = np.unpackbits(op.data["mask"], axis=1, bitorder="little")[:, :k4].reshape(-1).astype(bool)
    blocks[kept] = weights
    dense = blocks.reshape(-1, k4, rows, QUAD).transpose(0, 2, 1, 3).reshape(-1, *kernel, c4 * QUAD)
    outputs = model.tensors[op.output].dims[1]
    return np.asarray(dense[:outputs, ..., :channels].transpose(0, 3, 1, 2))


def _conv(twin: _Twin, op: Op) -> None:
    source, result = twin.model.tensors[op.inputs[0]], twin.model.tensors[op.output]
    weights = _conv_weights(twin.model, op)
    count = len(weights)
    product = op.data["scale"][:count].astype(np.float64) * (result.scale if result.dtype == "u7" else 1.0)
    folded = source.zero_point * weights.reshape(count, -1).sum(1, dtype=np.int64)
    bias = (op.data["bias"][:count] + folded) * product
    scale = twin.constant((product / source.scale).astype(np.float32))
    weight = twin.node("DequantizeLinear", [twin.constant(weights), scale], axis=0)
    value = twin.node(
        "Conv",
        [twin.source(op), weight, twin.constant(bias.astype(np.float32))],
        kernel_shape=_pair(op, "kernel"),
        strides=_pair(op, "stride"),
        dilations=_pair(op, "dilation"),
        pads=_pads(op),
        group=count if op.kind == "depthwise" else 1,
    )
    twin.finish(op, _flattened(twin, op, value))


def _flattened(twin: _Twin, op: Op, value: str) -> str:
    """``value`` [1,C,1,1] as [1,C] where the operator's result is."""
    dims = twin.model.tensors[op.output].dims
    return value if len(dims) == 4 else twin.node("Reshape", [value, twin.constant(np.array(dims, np.int64))])


def _pool(twin: _Twin, op: Op) -> None:
    window: dict[str, Any] = {
        "kernel_shape": _pair(op, "kernel"),
        "strides": _pair(op, "stride"),
        "pads": _pads(op),
    }
    if op.kind == "max_pool":
        twin.finish(op, twin.node("MaxPool", [twin.source(op)], **window))
        return
    include = int(op.attributes["include_pad"])
    value = twin.node("AveragePool", [twin.source(op)], count_include_pad=include, **window)
    twin.finish(op, _flattened(twin, op, value))


def _table(twin: _Twin, op: Op) -> None:
    source, result = twin.model.tensors[op.inputs[0]], twin.model.tensors[op.output]
    real = (op.data["table"].astype(np.float32) - result.zero_point) * np.float32(result.scale)
    scale = [twin.constant(np.float32(source.scale)), twin.constant(np.uint8(source.zero_point))]
    index = twin.node("Cast", [twin.node("QuantizeLinear", [twin.source(op), *scale])], to=TensorProto.INT32)
    if len(real) > 1:
        offsets = np.arange(len(real), dtype=np.int32).reshape(1, -1, 1, 1) * (ACTIVATION_MAX + 1)
        index = twin.node("Add", [index, twin.constant(offsets)])
    twin.finish(op, twin.node("Gather", [twin.constant(real.reshape(-1)), index]))


def _resize(twin: _Twin, op: Op) -> None:
    value = twin.source(op)
    for axis, name in ((2, "row"), (3, "col")):
        low = twin.constant(op.data[f"{name}_low"].astype(np.int64))
        picked = twin.node("Gather", [value, low], axis=axis)
        if op.attributes["mode"] == RESIZE_MODES["bilinear"]:
            high = twin.constant(op.data[f"{name}_high"].astype(np.int64))
            weight = op.data[f"{name}_weight"].astype(np.float32) / 256
            share = twin.constant(weight.reshape(-1, 1) if axis == 2 else weight)
            step = twin.node("Sub", [twin.node("Gather", [value, high], axis=axis), picked])
            picked = twin.node("Add", [picked, twin.node("Mul", [step, share])])
        value = picked
    twin.finish(op, value)


def _pad(twin: _Twin, op: Op) -> None:
    top, left, bottom, right = _pads(op)
    pads = twin.constant(np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
    twin.finish(op, twin.node("Pad", [twin.source(op), pads]))


def _reshape(twin: _Twin, op: Op) -> None:
    dims = np.array(twin.model.tensors[op.output].dims, np.int64)
    twin.finish(op, twin.node("Reshape", [twin.source(op), twin.constant(dims)]))


def _transpose(twin: _Twin, op: Op) -> None:
    rank = len(twin.model.tensors[op.output].dims)
    perm = [int(op.attributes[f"perm{i}"]) for i in range(rank)]
    twin.finish(op, twin.node("Transpose", [twin.source(op)], perm=perm))


def _plain(kind: str, **attributes: Any) -> Callable[[_Twin, Op], None]:
    def emit(twin: _Twin, op: Op) -> None:
        sources = [twin.source(op, i) for i in range(len(op.inputs))]
        twin.finish(op, twin.node(kind, sources, **attributes))

    return emit


def _concat(twin: _Twin, op: Op) -> None:
    _plain("Concat", axis=int(op.attributes["axis"]))(twin, op)


_EMIT: dict[str, Callable[[_Twin, Op], None]] = {
    "quantize": _plain("Identity"),
    "dequantize": _plain("Identity"),
    "conv": _conv,
    "depthwise": _conv,
    "add": _plain("Add"),
    "mul": _plain("Mul"),
    "avg_pool": _pool,
    "max_pool": _pool,
    "concat": _concat,
    "pad": _pad,
    "resize": _resize,
    "softmax": _plain("Softmax", axis=-1),
    "table": _table,
    "layout": _plain("Identity"),
    "reshape": _reshape,
    "transpose": _transpose,
}
