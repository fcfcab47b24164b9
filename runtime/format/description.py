"""The one description of the ``.lace`` file: constants, records, operators and invariants.

Everything else that knows the file is generated or derived from this module: the C header
(``generate.py`` -> ``engine/include/lw_format.h``), the Python reader and writer (``model.py``), the tables
in docs/format.md, the golden-bad test files. Plain data, standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass

MAGIC = b"\x89LACE\r\n\x1a"  # a text-mode transfer breaks it, as in PNG
VERSION_MAJOR = 1
VERSION_MINOR = 0

ALIGNMENT = 64  # bytes; sections, data parts and activation planes start on it
HEADER_BYTES = 64
SECTION_ENTRY_BYTES = 32
MAX_TENSORS = 65535
MAX_OPS = 65535
MAX_INPUTS = 8  # inputs of one operator
MAX_RANK = 4
MAX_DIM = 65535
MAX_ELEMENTS = 1 << 28  # of one tensor
MAX_NAME_BYTES = 1024
MAX_METADATA_BYTES = 1 << 20
MAX_ATTRIBUTES = 16
NO_TENSOR = 0xFFFFFFFF
QUAD = 4  # channels stored together
ACTIVATION_MAX = 127  # u7
WEIGHT_MAX = 127  # weights are symmetric: -128 is refused

SECTIONS = {  # kind -> name; every file holds each exactly once, in this order
    1: "tensors",
    2: "ops",
    3: "graph",
    4: "names",
    5: "metadata",
    6: "data",
}

DTYPES = {"u7": 0, "f32": 1}
LAYOUTS = {"plain": 0, "quads": 1}
ENCODINGS = {"dense": 0, "bitmask": 1}
RESIZE_MODES = {"nearest": 0, "bilinear": 1}
BLOCK_ROWS = (1, 2, 4, 8)

# (name, struct code, C type). Little-endian, no implicit padding: the order below is the byte order.
HEADER_RECORD = (
    ("magic", "8s", "uint8_t[8]"),
    ("version_major", "H", "uint16_t"),
    ("version_minor", "H", "uint16_t"),
    ("section_count", "I", "uint32_t"),
    ("file_bytes", "Q", "uint64_t"),
    ("checksum", "Q", "uint64_t"),
    ("reserved", "32s", "uint8_t[32]"),
)
SECTION_RECORD = (
    ("kind", "I", "uint32_t"),
    ("reserved0", "I", "uint32_t"),
    ("offset", "Q", "uint64_t"),  # bytes from the start of the file
    ("bytes", "Q", "uint64_t"),  # without the zero padding that follows
    ("reserved1", "Q", "uint64_t"),
)
TENSOR_RECORD = (
    ("name_offset", "I", "uint32_t"),  # bytes into the names section
    ("name_bytes", "I", "uint32_t"),
    ("dtype", "B", "uint8_t"),
    ("layout", "B", "uint8_t"),
    ("rank", "B", "uint8_t"),
    ("reserved0", "B", "uint8_t"),
    ("dims", "4I", "uint32_t[4]"),  # unused dims are 0
    ("scale", "f", "float"),  # real = (q - zero_point) * scale; 0 for f32
    ("zero_point", "I", "uint32_t"),
    ("reserved1", "28s", "uint8_t[28]"),
)
OP_RECORD = (
    ("kind", "H", "uint16_t"),
    ("input_count", "B", "uint8_t"),
    ("reserved0", "B", "uint8_t"),
    ("name_offset", "I", "uint32_t"),
    ("name_bytes", "I", "uint32_t"),
    ("inputs", "8I", "uint32_t[8]"),  # tensor indices, NO_TENSOR past input_count
    ("output", "I", "uint32_t"),
    ("data_offset", "Q", "uint64_t"),  # bytes into the data section
    ("data_bytes", "Q", "uint64_t"),
    ("attributes", "16I", "uint32_t[16]"),  # as listed per operator below, unused are 0
)
GRAPH_RECORD = (  # followed by input_count + output_count tensor indices (u32)
    ("input_count", "I", "uint32_t"),
    ("output_count", "I", "uint32_t"),
)


@dataclass(frozen=True)
class Part:
    """One array in an operator's data; starts 64-byte aligned, parts follow each other in order."""

    name: str
    dtype: str  # u8 | i8 | u16 | i32 | f32
    shape: str  # for people; the exact rule stands in docs/format.md and in both size functions


@dataclass(frozen=True)
class Operator:
    """One operator: its number in the file, its attributes in slot order, its data parts.

    ``units`` is what one work item of a thread is; ``min_inputs``/``max_inputs`` count activation inputs.
    """

    name: str
    kind: int
    attributes: tuple[tuple[str, str], ...]  # (name, "u32" | "f32")
    parts: tuple[Part, ...] = ()
    min_inputs: int = 1
    max_inputs: int = 1
    summary: str = ""


_WINDOW = (("kernel_h", "u32"), ("kernel_w", "u32"), ("stride_h", "u32"), ("stride_w", "u32"))
_PADS = (("pad_top", "u32"), ("pad_left", "u32"), ("pad_bottom", "u32"), ("pad_right", "u32"))
_CLAMP = (("clamp_min", "u32"), ("clamp_max", "u32"))
_DILATION = (("dilation_h", "u32"), ("dilation_w", "u32"))

OPERATORS: tuple[Operator, ...] = (
    Operator("quantize", 1, (("inverse_scale", "f32"),), summary="f32 -> u7"),
    Operator("dequantize", 2, (), summary="u7 -> f32"),
    Operator(
        "conv",
        3,
        (*_WINDOW, *_DILATION, *_PADS, ("block_rows", "u32"), ("encoding", "u32"), *_CLAMP),
        (
            Part("mask", "u8", "[rows][ceil(K4/8)], absent when dense"),
            Part("weights", "i8", "[kept][R][4]"),
            Part("bias", "i32", "[rows*R]"),
            Part("scale", "f32", "[rows*R]"),
        ),
        summary="group-sparse or dense convolution; fully connected is 1x1 on one pixel",
    ),
    Operator(
        "depthwise",
        4,
        (*_WINDOW, *_DILATION, *_PADS, *_CLAMP),
        (
            Part("weights", "i8", "[C4][kh*kw][4]"),
            Part("bias", "i32", "[C4*4]"),
            Part("scale", "f32", "[C4*4]"),
        ),
        summary="one filter per channel",
    ),
    Operator(
        "add",
        5,
        (("multiplier0", "f32"), ("multiplier1", "f32"), *_CLAMP),
        min_inputs=2,
        max_inputs=2,
        summary="residual add",
    ),
    Operator(
        "mul",
        6,
        (("multiplier", "f32"), *_CLAMP),
        min_inputs=2,
        max_inputs=2,
        summary="elementwise product; the second input may be [1,C,1,1]",
    ),
    Operator(
        "avg_pool",
        7,
        (*_WINDOW, *_PADS, ("include_pad", "u32"), *_CLAMP),
        (Part("multipliers", "f32", "[1] or [kh*kw], by count of taps - 1"),),
        summary="average pooling, global pooling; u7 or f32",
    ),
    Operator("max_pool", 8, (*_WINDOW, *_PADS), summary="max pooling"),
    Operator(
        "concat",
        9,
        (("axis", "u32"),),
        min_inputs=2,
        max_inputs=MAX_INPUTS,
        summary="joins tensors of equal quantization",
    ),
    Operator("pad", 10, _PADS, summary="spatial padding with the zero point"),
    Operator(
        "resize",
        11,
        (("mode", "u32"),),
        (
            Part("row_low", "u16", "[OH]"),
            Part("row_high", "u16", "[OH], bilinear only"),
            Part("row_weight", "u16", "[OH], bilinear only, of row_high in 1/256"),
            Part("col_low", "u16", "[OW]"),
            Part("col_high", "u16", "[OW], bilinear only"),
            Part("col_weight", "u16", "[OW], bilinear only"),
        ),
        summary="nearest or bilinear",
    ),
    Operator("softmax", 12, (), summary="f32, over the last axis"),
    Operator(
        "table",
        13,
        (("channels", "u32"),),
        (Part("table", "u8", "[channels][128]"),),
        summary="u7 -> u7 look-up: sigmoid, hard-swish, leaky ReLU, rescale ...",
    ),
    Operator("layout", 14, (), summary="quads <-> plain, same logical shape"),
    Operator("reshape", 15, (), summary="plain, same number of elements"),
    Operator(
        "transpose",
        16,
        (("perm0", "u32"), ("perm1", "u32"), ("perm2", "u32"), ("perm3", "u32")),
        summary="plain, output dim i is input dim perm[i]",
    ),
)
OPERATOR_BY_NAME = {op.name: op for op in OPERATORS}
OPERATOR_BY_KIND = {op.kind: op for op in OPERATORS}


@dataclass(frozen=True)
class Invariant:
    """A numbered rule of docs/format.md; breaking it gives error ``LW_E_<NAME>``."""

    number: int
    name: str
    rule: str


INVARIANTS: tuple[Invariant, ...] = tuple(
    Invariant(number, name, rule)
    for number, name, rule in (
        (1, "truncated", "the file holds at least the header and exactly file_bytes bytes"),
        (2, "magic", "the first eight bytes are the magic"),
        (3, "version", "version_major is 1 and version_minor is not newer than the reader"),
        (4, "reserved", "reserved and unused bytes, fields and attributes are zero"),
        (5, "section_table", "six sections, each kind once, ascending, table right after the header"),
        (6, "section_offset", "sections are 64-byte aligned, contiguous, and cover the file to its end"),
        (7, "section_bytes", "a section of records is a whole number of records within the limits"),
        (8, "padding", "bytes between the end of a section or part and the next 64-byte line are zero"),
        (9, "checksum", "the checksum matches the bytes after the header"),
        (10, "name_range", "names are consumed in order without gaps and cover the names section"),
        (11, "name_utf8", "names and metadata are valid UTF-8 without control characters; 1024 bytes a name"),
        (12, "name_unique", "names of graph inputs are distinct, and those of graph outputs, and not empty"),
        (13, "metadata", "metadata is empty or a JSON object's text of at most 1 MiB"),
        (14, "tensor_dtype", "dtype is u7 or f32"),
        (15, "tensor_layout", "layout is plain or quads; quads are rank 4, batch 1, u7"),
        (16, "tensor_dims", "rank is 1 to 4, dims 1 to 65535, at most 2^28 elements, unused dims 0"),
        (17, "tensor_scale", "a u7 scale is finite, normal and positive; an f32 tensor's scale is 0"),
        (18, "tensor_zero_point", "a zero point is 0 to 127; 0 for f32"),
        (19, "graph_counts", "at least one input, one output and one operator; lists fill the section"),
        (20, "graph_inputs", "graph inputs are distinct, plain, and written by no operator"),
        (21, "graph_outputs", "graph outputs are distinct, plain, and written by an operator"),
        (22, "op_kind", "the operator is known"),
        (23, "op_inputs", "the number of inputs fits the operator; the rest is NO_TENSOR; indices exist"),
        (24, "op_order", "an operator reads only graph inputs and results of earlier operators"),
        (25, "op_output", "each tensor is written once, and by one operator if not a graph input"),
        (26, "tensor_unused", "every tensor is read by an operator or is a graph output"),
        (27, "op_dtype", "the dtypes and layouts of an operator's tensors fit the operator"),
        (28, "op_attribute", "an attribute lies in its range"),
        (29, "op_shape", "the output shape is what the operator computes from its inputs"),
        (30, "op_quantization", "operators that only move values keep scale and zero point"),
        (31, "data_range", "operator data is consumed in order, 64-byte aligned, and covers the section"),
        (32, "data_bytes", "an operator's data has exactly the size that its attributes imply"),
        (33, "mask_bits", "mask bits past K4 are zero; a bitmask drops at least one block"),
        (34, "block_zero", "a kept block of a bitmask holds a weight that is not zero"),
        (35, "weight_range", "weights are -127 to 127"),
        (36, "weight_padding", "weights, biases and scales of padding channels are zero"),
        (37, "accumulator", "|bias| + 127 * sum|w| < 2^31 per output channel"),
        (
            38,
            "multiplier",
            "scales and multipliers are finite, normal, positive, and keep the product below 2^31",
        ),
        (39, "clamp", "0 <= clamp_min <= clamp_max <= 127"),
        (40, "table_range", "table entries are 0 to 127"),
        (41, "resize_range", "resize indices lie in the input, weights are 0 to 256"),
        (42, "cost", "the multiply-accumulates and bytes moved by one run stay within 2^40"),
    )
)

# Errors that are not the file's fault; numbers follow the invariants.
RUN_ERRORS: tuple[tuple[int, str, str], ...] = (
    (64, "memory", "the model needs more memory than the caller allows"),
    (65, "alignment", "the file or the work memory is not 64-byte aligned"),
    (66, "argument", "an argument is missing or out of range"),
    (67, "input_range", "a u7 input value is above 127"),
    (68, "input_nan", "a float input holds NaN"),
    (69, "kernel", "the kernel override names a tier that this machine or build does not have"),
    (70, "busy", "the model is already running on another thread"),
)
