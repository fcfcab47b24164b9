"""What to do about an operator that Lacewing does not run: one list."""

from __future__ import annotations

_FLOAT_MODEL = "give the float model: Lacewing quantizes by itself"
_POST_PROCESSING = "cut the post-processing off with onnx.utils.extract_model and do it in the application"
_SEQUENCE = "recurrent layers are not supported"
_CONTROL = "control flow is not supported; export by tracing with fixed shapes"
_NORM = "only BatchNormalization runs; train with it instead"

_HINTS = {
    _FLOAT_MODEL: """QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul ConvInteger
        MatMulInteger FakeQuantize QLinearAdd QLinearMul QLinearConcat QLinearGlobalAveragePool QLinearSigmoid
        QLinearSoftmax QLinearLeakyRelu QLinearAveragePool QGemm FusedConv""",
    _POST_PROCESSING: "NonMaxSuppression TopK ArgMax ArgMin NonZero RoiAlign Unique Compress ScatterElements",
    _SEQUENCE: "LSTM GRU RNN",
    _CONTROL: "If Loop Scan SequenceAt SequenceConstruct SequenceInsert SplitToSequence",
    _NORM: "LayerNormalization InstanceNormalization GroupNormalization LpNormalization RMSNormalization LRN",
    "replace it by Resize (nearest) followed by Conv": "ConvTranspose MaxUnpool",
    "attention over run-time values is not supported": "Einsum Attention MultiHeadAttention",
}
_BY_OP_TYPE = {op_type: hint for hint, names in _HINTS.items() for op_type in names.split()}


def hint_for(op_type: str) -> str:
    """One line of advice for an unsupported operator."""
    return _BY_OP_TYPE.get(op_type, "replace it by supported operators or cut the model before it")
