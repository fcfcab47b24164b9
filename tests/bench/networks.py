"""MobileNet-v1 with random weights, as float ONNX and as an int8 TFLite file: the network that has no float source.

Both files hold the same layers, strides and paddings, so that every runtime computes the same network.
"""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

# (input channels, output channels, stride of the depthwise convolution); MobileNet-v1, arXiv 1704.04861, table 1
BLOCKS = [(32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2)]
BLOCKS += [(512, 512, 1)] * 5 + [(512, 1024, 2), (1024, 1024, 1)]
SIZE = 224
CLASSES = 1000
RELU6_SCALE = 6 / 255  # of an int8 activation that spans 0..6


def weights(seed: int = 0) -> list[tuple[str, np.ndarray, int]]:
    """(kind, OIHW float32 weights, stride) of every layer; kind is conv, depthwise or dense. He-normal."""
    rng = np.random.default_rng(seed)

    def he(*shape: int) -> np.ndarray:
        fan_in = int(np.prod(shape[1:]))
        return (rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)

    layers = [("conv", he(32, 3, 3, 3), 2)]
    for c_in, c_out, stride in BLOCKS:
        layers += [("depthwise", he(c_in, 1, 3, 3), stride), ("conv", he(c_out, c_in, 1, 1), 1)]
    return [*layers, ("dense", he(CLASSES, 1024), 1)]


def mobilenet_v1_onnx(path: Path, seed: int = 0) -> Path:
    """Writes the float network: input [1,3,224,224], output logits [1,1000], opset 13."""
    nodes, constants = (
        [],
        [
            numpy_helper.from_array(np.float32(0), "zero"),
            numpy_helper.from_array(np.float32(6), "six"),
        ],
    )
    value = "input"
    for i, (kind, w, stride) in enumerate(weights(seed)):
        constants += [
            numpy_helper.from_array(w, f"w{i}"),
            numpy_helper.from_array(np.zeros(len(w), np.float32), f"b{i}"),
        ]
        if kind == "dense":
            nodes.append(helper.make_node("GlobalAveragePool", [value], ["pooled"]))
            nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
            nodes.append(helper.make_node("Gemm", ["flat", f"w{i}", f"b{i}"], ["logits"], transB=1))
            break
        k = w.shape[2]
        pads = [0, 0, 0, 0] if k == 1 else ([0, 0, 1, 1] if stride == 2 else [1, 1, 1, 1])
        group = len(w) if kind == "depthwise" else 1
        attributes = {"kernel_shape": [k, k], "strides": [stride] * 2, "pads": pads, "group": group}
        nodes.append(
            helper.make_node("Conv", [value, f"w{i}", f"b{i}"], [f"c{i}"], name=f"layer{i}", **attributes)
        )
        nodes.append(helper.make_node("Clip", [f"c{i}", "zero", "six"], [f"r{i}"]))
        value = f"r{i}"
    graph = helper.make_graph(
        nodes,
        "mobilenet_v1",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CLASSES])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


class _TfliteWriter:
    """Collects tensors and operators of one subgraph; NHWC, int8 activations, per-channel int8 weights."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.name, self.graph.tensors, self.graph.operators = "main", [], []
        self.codes: list[int] = []

    def tensor(self, shape, kind, scale, zero_point, data=None, axis=0) -> int:
        t = schema.TensorT()
        t.name, t.shape, t.type = f"t{len(self.graph.tensors)}", [int(n) for n in shape], kind
        if scale is not None:
            t.quantization = schema.QuantizationParametersT()
            t.quantization.scale = np.atleast_1d(scale).astype(np.float32).tolist()
            t.quantization.zeroPoint = np.atleast_1d(zero_point).astype(np.int64).tolist()
            t.quantization.quantizedDimension = axis
        buffer = schema.BufferT()
        if data is not None:
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        t.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(t)
        return len(self.graph.tensors) - 1

    def operator(self, code: int, inputs: list[int], output: int, options_kind: int, options) -> None:
        if code not in self.codes:
            self.codes.append(code)
        op = schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = self.codes.index(code), inputs, [output]
        op.builtinOptionsType, op.builtinOptions = options_kind, options
        self.graph.operators.append(op)

    def write(self, path: Path, source: int, result: int) -> Path:
        self.graph.inputs, self.graph.outputs = [source], [result]
        self.model.subgraphs, self.model.operatorCodes = [self.graph], []
        for code in self.codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode = entry.deprecatedBuiltinCode = code
            entry.version = 4 if code == schema.BuiltinOperator.FULLY_CONNECTED else 3
            self.model.operatorCodes.append(entry)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


def mobilenet_v1_tflite(path: Path, seed: int = 0, unsigned: bool = False) -> Path:
    """Writes the int8 network: input int8 [1,224,224,3], output int8 [1,1000]; ``unsigned`` makes both uint8.

    LiteRT.js takes no int8 arrays; publishers' files are unsigned outside and signed inside for the same reason.
    """
    out = _TfliteWriter()
    int8, int32 = schema.TensorType.INT8, schema.TensorType.INT32
    size = SIZE
    source = value = out.tensor([1, size, size, 3], int8, 2 / 255, 0)
    if unsigned:
        source = _requantized(out, source, [1, size, size, 3], 2 / 255, into=True)
    scale = 2 / 255
    for kind, w, stride in weights(seed):
        if kind == "dense":
            value = _global_average(out, value, w.shape[1], scale)
        axes = (0,) if kind == "dense" else (0, 2, 3, 1)
        layout = w if kind == "dense" else w.transpose(axes)  # OHWI
        w_scale = np.abs(w).reshape(len(w), -1).max(1) / 127
        q = np.rint(layout / w_scale.reshape(-1, *[1] * (layout.ndim - 1))).astype(np.int8)
        if kind == "depthwise":
            q = np.ascontiguousarray(q.transpose(3, 1, 2, 0))  # 1HWC
        weight = out.tensor(q.shape, int8, w_scale, np.zeros(len(w)), q, 3 if kind == "depthwise" else 0)
        bias = out.tensor([len(w)], int32, w_scale * scale, np.zeros(len(w)), np.zeros(len(w), np.int32))
        size = 1 if kind == "dense" else -(-size // stride)
        shape = [1, len(w)] if kind == "dense" else [1, size, size, len(w)]
        scale, zero_point = (8 / 127, 0) if kind == "dense" else (RELU6_SCALE, -128)
        result = out.tensor(shape, int8, scale, zero_point)
        _layer(out, kind, [value, weight, bias], result, stride)
        value = result
    if unsigned:
        value = _requantized(out, value, [1, CLASSES], 8 / 127, into=False)
    return out.write(path, source, value)


def _requantized(out: _TfliteWriter, inner: int, shape: list[int], scale: float, into: bool) -> int:
    """The uint8 twin of an int8 tensor with zero point 0, connected by a QUANTIZE: into ``inner``, or out of it."""
    outer = out.tensor(shape, schema.TensorType.UINT8, scale, 128)
    source, result = (outer, inner) if into else (inner, outer)
    kind = schema.BuiltinOptions.QuantizeOptions
    out.operator(schema.BuiltinOperator.QUANTIZE, [source], result, kind, schema.QuantizeOptionsT())
    return outer


def _layer(out: _TfliteWriter, kind: str, inputs: list[int], result: int, stride: int) -> None:
    if kind == "dense":
        options = schema.FullyConnectedOptionsT()
        out.operator(
            schema.BuiltinOperator.FULLY_CONNECTED,
            inputs,
            result,
            schema.BuiltinOptions.FullyConnectedOptions,
            options,
        )
        return
    depthwise = kind == "depthwise"
    options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    options.padding = schema.Padding.SAME
    options.strideW = options.strideH = stride
    options.dilationWFactor = options.dilationHFactor = 1
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
    if depthwise:
        options.depthMultiplier = 1
    name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    union = schema.BuiltinOptions.DepthwiseConv2DOptions if depthwise else schema.BuiltinOptions.Conv2DOptions
    out.operator(getattr(schema.BuiltinOperator, name), inputs, result, union, options)


def _global_average(out: _TfliteWriter, value: int, channels: int, scale: float) -> int:
    axes = out.tensor([2], schema.TensorType.INT32, None, None, np.array([1, 2], np.int32))
    result = out.tensor([1, channels], schema.TensorType.INT8, scale, -128)
    out.operator(
        schema.BuiltinOperator.MEAN,
        [value, axes],
        result,
        schema.BuiltinOptions.ReducerOptions,
        schema.ReducerOptionsT(),
    )
    return result
