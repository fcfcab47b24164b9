// clang-format off
// Generated from runtime/format/description.py by generate.py. Do not edit.
#ifndef LW_FORMAT_H
#define LW_FORMAT_H

#include <stdint.h>

#define LW_MAGIC "\x89\x4c\x41\x43\x45\x0d\x0a\x1a"

#define LW_VERSION_MAJOR 1u
#define LW_VERSION_MINOR 0u
#define LW_ALIGNMENT 64u
#define LW_HEADER_BYTES 64u
#define LW_SECTION_ENTRY_BYTES 32u
#define LW_MAX_TENSORS 65535u
#define LW_MAX_OPS 65535u
#define LW_MAX_INPUTS 8u
#define LW_MAX_RANK 4u
#define LW_MAX_DIM 65535u
#define LW_MAX_ELEMENTS 268435456u
#define LW_MAX_NAME_BYTES 1024u
#define LW_MAX_METADATA_BYTES 1048576u
#define LW_MAX_ATTRIBUTES 16u
#define LW_NO_TENSOR 4294967295u
#define LW_QUAD 4u
#define LW_ACTIVATION_MAX 127u
#define LW_WEIGHT_MAX 127u

#define LW_SECTION_COUNT 6u

enum {
  LW_SECTION_TENSORS = 1,
  LW_SECTION_OPS = 2,
  LW_SECTION_GRAPH = 3,
  LW_SECTION_NAMES = 4,
  LW_SECTION_METADATA = 5,
  LW_SECTION_DATA = 6,
};

enum {
  LW_DTYPE_U7 = 0,
  LW_DTYPE_F32 = 1,
};

enum {
  LW_LAYOUT_PLAIN = 0,
  LW_LAYOUT_QUADS = 1,
};

enum {
  LW_ENCODING_DENSE = 0,
  LW_ENCODING_BITMASK = 1,
};

enum {
  LW_RESIZE_NEAREST = 0,
  LW_RESIZE_BILINEAR = 1,
};

typedef struct {
  uint8_t magic[8];
  uint16_t version_major;
  uint16_t version_minor;
  uint32_t section_count;
  uint64_t file_bytes;
  uint64_t checksum;
  uint8_t reserved[32];
} lw_header_record;

typedef struct {
  uint32_t kind;
  uint32_t reserved0;
  uint64_t offset;
  uint64_t bytes;
  uint64_t reserved1;
} lw_section_record;

typedef struct {
  uint32_t name_offset;
  uint32_t name_bytes;
  uint8_t dtype;
  uint8_t layout;
  uint8_t rank;
  uint8_t reserved0;
  uint32_t dims[4];
  float scale;
  uint32_t zero_point;
  uint8_t reserved1[28];
} lw_tensor_record;

typedef struct {
  uint16_t kind;
  uint8_t input_count;
  uint8_t reserved0;
  uint32_t name_offset;
  uint32_t name_bytes;
  uint32_t inputs[8];
  uint32_t output;
  uint64_t data_offset;
  uint64_t data_bytes;
  uint32_t attributes[16];
} lw_op_record;

typedef struct {
  uint32_t input_count;
  uint32_t output_count;
} lw_graph_record;

// X(NAME, kind, "name", attribute count, least inputs, most inputs)
#define LW_OPERATORS(X) \
  X(QUANTIZE, 1, "quantize", 1, 1, 1) \
  X(DEQUANTIZE, 2, "dequantize", 0, 1, 1) \
  X(CONV, 3, "conv", 14, 1, 1) \
  X(DEPTHWISE, 4, "depthwise", 12, 1, 1) \
  X(ADD, 5, "add", 4, 2, 2) \
  X(MUL, 6, "mul", 3, 2, 2) \
  X(AVG_POOL, 7, "avg_pool", 11, 1, 1) \
  X(MAX_POOL, 8, "max_pool", 8, 1, 1) \
  X(CONCAT, 9, "concat", 1, 2, 8) \
  X(PAD, 10, "pad", 4, 1, 1) \
  X(RESIZE, 11, "resize", 1, 1, 1) \
  X(SOFTMAX, 12, "softmax", 0, 1, 1) \
  X(TABLE, 13, "table", 1, 1, 1) \
  X(LAYOUT, 14, "layout", 0, 1, 1) \
  X(RESHAPE, 15, "reshape", 0, 1, 1) \
  X(TRANSPOSE, 16, "transpose", 4, 1, 1) \

enum {
  LW_OP_QUANTIZE = 1,
  LW_OP_DEQUANTIZE = 2,
  LW_OP_CONV = 3,
  LW_OP_DEPTHWISE = 4,
  LW_OP_ADD = 5,
  LW_OP_MUL = 6,
  LW_OP_AVG_POOL = 7,
  LW_OP_MAX_POOL = 8,
  LW_OP_CONCAT = 9,
  LW_OP_PAD = 10,
  LW_OP_RESIZE = 11,
  LW_OP_SOFTMAX = 12,
  LW_OP_TABLE = 13,
  LW_OP_LAYOUT = 14,
  LW_OP_RESHAPE = 15,
  LW_OP_TRANSPOSE = 16,
};

enum {
  LW_QUANTIZE_INVERSE_SCALE = 0,
};

enum {
  LW_CONV_KERNEL_H = 0,
  LW_CONV_KERNEL_W = 1,
  LW_CONV_STRIDE_H = 2,
  LW_CONV_STRIDE_W = 3,
  LW_CONV_DILATION_H = 4,
  LW_CONV_DILATION_W = 5,
  LW_CONV_PAD_TOP = 6,
  LW_CONV_PAD_LEFT = 7,
  LW_CONV_PAD_BOTTOM = 8,
  LW_CONV_PAD_RIGHT = 9,
  LW_CONV_BLOCK_ROWS = 10,
  LW_CONV_ENCODING = 11,
  LW_CONV_CLAMP_MIN = 12,
  LW_CONV_CLAMP_MAX = 13,
};

enum {
  LW_DEPTHWISE_KERNEL_H = 0,
  LW_DEPTHWISE_KERNEL_W = 1,
  LW_DEPTHWISE_STRIDE_H = 2,
  LW_DEPTHWISE_STRIDE_W = 3,
  LW_DEPTHWISE_DILATION_H = 4,
  LW_DEPTHWISE_DILATION_W = 5,
  LW_DEPTHWISE_PAD_TOP = 6,
  LW_DEPTHWISE_PAD_LEFT = 7,
  LW_DEPTHWISE_PAD_BOTTOM = 8,
  LW_DEPTHWISE_PAD_RIGHT = 9,
  LW_DEPTHWISE_CLAMP_MIN = 10,
  LW_DEPTHWISE_CLAMP_MAX = 11,
};

enum {
  LW_ADD_MULTIPLIER0 = 0,
  LW_ADD_MULTIPLIER1 = 1,
  LW_ADD_CLAMP_MIN = 2,
  LW_ADD_CLAMP_MAX = 3,
};

enum {
  LW_MUL_MULTIPLIER = 0,
  LW_MUL_CLAMP_MIN = 1,
  LW_MUL_CLAMP_MAX = 2,
};

enum {
  LW_AVG_POOL_KERNEL_H = 0,
  LW_AVG_POOL_KERNEL_W = 1,
  LW_AVG_POOL_STRIDE_H = 2,
  LW_AVG_POOL_STRIDE_W = 3,
  LW_AVG_POOL_PAD_TOP = 4,
  LW_AVG_POOL_PAD_LEFT = 5,
  LW_AVG_POOL_PAD_BOTTOM = 6,
  LW_AVG_POOL_PAD_RIGHT = 7,
  LW_AVG_POOL_INCLUDE_PAD = 8,
  LW_AVG_POOL_CLAMP_MIN = 9,
  LW_AVG_POOL_CLAMP_MAX = 10,
};

enum {
  LW_MAX_POOL_KERNEL_H = 0,
  LW_MAX_POOL_KERNEL_W = 1,
  LW_MAX_POOL_STRIDE_H = 2,
  LW_MAX_POOL_STRIDE_W = 3,
  LW_MAX_POOL_PAD_TOP = 4,
  LW_MAX_POOL_PAD_LEFT = 5,
  LW_MAX_POOL_PAD_BOTTOM = 6,
  LW_MAX_POOL_PAD_RIGHT = 7,
};

enum {
  LW_CONCAT_AXIS = 0,
};

enum {
  LW_PAD_PAD_TOP = 0,
  LW_PAD_PAD_LEFT = 1,
  LW_PAD_PAD_BOTTOM = 2,
  LW_PAD_PAD_RIGHT = 3,
};

enum {
  LW_RESIZE_MODE = 0,
};

enum {
  LW_TABLE_CHANNELS = 0,
};

enum {
  LW_TRANSPOSE_PERM0 = 0,
  LW_TRANSPOSE_PERM1 = 1,
  LW_TRANSPOSE_PERM2 = 2,
  LW_TRANSPOSE_PERM3 = 3,
};

// X(NAME, number, "name", "rule")
#define LW_ERRORS(X) \
  X(TRUNCATED, 1, "truncated", "the file holds at least the header and exactly file_bytes bytes") \
  X(MAGIC, 2, "magic", "the first eight bytes are the magic") \
  X(VERSION, 3, "version", "version_major is 1 and version_minor is not newer than the reader") \
  X(RESERVED, 4, "reserved", "reserved and unused bytes, fields and attributes are zero") \
  X(SECTION_TABLE, 5, "section_table", "six sections, each kind once, ascending, table right after the header") \
  X(SECTION_OFFSET, 6, "section_offset", "sections are 64-byte aligned, contiguous, and cover the file to its end") \
  X(SECTION_BYTES, 7, "section_bytes", "a section of records is a whole number of records within the limits") \
  X(PADDING, 8, "padding", "bytes between the end of a section or part and the next 64-byte line are zero") \
  X(CHECKSUM, 9, "checksum", "the checksum matches the bytes after the header") \
  X(NAME_RANGE, 10, "name_range", "names are consumed in order without gaps and cover the names section") \
  X(NAME_UTF8, 11, "name_utf8", "names and metadata are valid UTF-8 without control characters; 1024 bytes a name") \
  X(NAME_UNIQUE, 12, "name_unique", "names of graph inputs are distinct, and those of graph outputs, and not empty") \
  X(METADATA, 13, "metadata", "metadata is empty or a JSON object's text of at most 1 MiB") \
  X(TENSOR_DTYPE, 14, "tensor_dtype", "dtype is u7 or f32") \
  X(TENSOR_LAYOUT, 15, "tensor_layout", "layout is plain or quads; quads are rank 4, batch 1, u7") \
  X(TENSOR_DIMS, 16, "tensor_dims", "rank is 1 to 4, dims 1 to 65535, at most 2^28 elements, unused dims 0") \
  X(TENSOR_SCALE, 17, "tensor_scale", "a u7 scale is finite, normal and positive; an f32 tensor's scale is 0") \
  X(TENSOR_ZERO_POINT, 18, "tensor_zero_point", "a zero point is 0 to 127; 0 for f32") \
  X(GRAPH_COUNTS, 19, "graph_counts", "at least one input, one output and one operator; lists fill the section") \
  X(GRAPH_INPUTS, 20, "graph_inputs", "graph inputs are distinct, plain, and written by no operator") \
  X(GRAPH_OUTPUTS, 21, "graph_outputs", "graph outputs are distinct, plain, and written by an operator") \
  X(OP_KIND, 22, "op_kind", "the operator is known") \
  X(OP_INPUTS, 23, "op_inputs", "the number of inputs fits the operator; the rest is NO_TENSOR; indices exist") \
  X(OP_ORDER, 24, "op_order", "an operator reads only graph inputs and results of earlier operators") \
  X(OP_OUTPUT, 25, "op_output", "each tensor is written once, and by one operator if not a graph input") \
  X(TENSOR_UNUSED, 26, "tensor_unused", "every tensor is read by an operator or is a graph output") \
  X(OP_DTYPE, 27, "op_dtype", "the dtypes and layouts of an operator's tensors fit the operator") \
  X(OP_ATTRIBUTE, 28, "op_attribute", "an attribute lies in its range") \
  X(OP_SHAPE, 29, "op_shape", "the output shape is what the operator computes from its inputs") \
  X(OP_QUANTIZATION, 30, "op_quantization", "operators that only move values keep scale and zero point") \
  X(DATA_RANGE, 31, "data_range", "operator data is consumed in order, 64-byte aligned, and covers the section") \
  X(DATA_BYTES, 32, "data_bytes", "an operator's data has exactly the size that its attributes imply") \
  X(MASK_BITS, 33, "mask_bits", "mask bits past K4 are zero; a bitmask drops at least one block") \
  X(BLOCK_ZERO, 34, "block_zero", "a kept block of a bitmask holds a weight that is not zero") \
  X(WEIGHT_RANGE, 35, "weight_range", "weights are -127 to 127") \
  X(WEIGHT_PADDING, 36, "weight_padding", "weights, biases and scales of padding channels are zero") \
  X(ACCUMULATOR, 37, "accumulator", "|bias| + 127 * sum|w| < 2^31 per output channel") \
  X(MULTIPLIER, 38, "multiplier", "scales and multipliers are finite, normal, positive, and keep the product below 2^31") \
  X(CLAMP, 39, "clamp", "0 <= clamp_min <= clamp_max <= 127") \
  X(TABLE_RANGE, 40, "table_range", "table entries are 0 to 127") \
  X(RESIZE_RANGE, 41, "resize_range", "resize indices lie in the input, weights are 0 to 256") \
  X(COST, 42, "cost", "the multiply-accumulates and bytes moved by one run stay within 2^40") \
  X(MEMORY, 64, "memory", "the model needs more memory than the caller allows") \
  X(ALIGNMENT, 65, "alignment", "the file or the work memory is not 64-byte aligned") \
  X(ARGUMENT, 66, "argument", "an argument is missing or out of range") \
  X(INPUT_RANGE, 67, "input_range", "a u7 input value is above 127") \
  X(INPUT_NAN, 68, "input_nan", "a float input holds NaN") \
  X(KERNEL, 69, "kernel", "the kernel override names a tier that this machine or build does not have") \
  X(BUSY, 70, "busy", "the model is already running on another thread") \

typedef enum {
  LW_OK = 0,
  LW_E_TRUNCATED = 1,
  LW_E_MAGIC = 2,
  LW_E_VERSION = 3,
  LW_E_RESERVED = 4,
  LW_E_SECTION_TABLE = 5,
  LW_E_SECTION_OFFSET = 6,
  LW_E_SECTION_BYTES = 7,
  LW_E_PADDING = 8,
  LW_E_CHECKSUM = 9,
  LW_E_NAME_RANGE = 10,
  LW_E_NAME_UTF8 = 11,
  LW_E_NAME_UNIQUE = 12,
  LW_E_METADATA = 13,
  LW_E_TENSOR_DTYPE = 14,
  LW_E_TENSOR_LAYOUT = 15,
  LW_E_TENSOR_DIMS = 16,
  LW_E_TENSOR_SCALE = 17,
  LW_E_TENSOR_ZERO_POINT = 18,
  LW_E_GRAPH_COUNTS = 19,
  LW_E_GRAPH_INPUTS = 20,
  LW_E_GRAPH_OUTPUTS = 21,
  LW_E_OP_KIND = 22,
  LW_E_OP_INPUTS = 23,
  LW_E_OP_ORDER = 24,
  LW_E_OP_OUTPUT = 25,
  LW_E_TENSOR_UNUSED = 26,
  LW_E_OP_DTYPE = 27,
  LW_E_OP_ATTRIBUTE = 28,
  LW_E_OP_SHAPE = 29,
  LW_E_OP_QUANTIZATION = 30,
  LW_E_DATA_RANGE = 31,
  LW_E_DATA_BYTES = 32,
  LW_E_MASK_BITS = 33,
  LW_E_BLOCK_ZERO = 34,
  LW_E_WEIGHT_RANGE = 35,
  LW_E_WEIGHT_PADDING = 36,
  LW_E_ACCUMULATOR = 37,
  LW_E_MULTIPLIER = 38,
  LW_E_CLAMP = 39,
  LW_E_TABLE_RANGE = 40,
  LW_E_RESIZE_RANGE = 41,
  LW_E_COST = 42,
  LW_E_MEMORY = 64,
  LW_E_ALIGNMENT = 65,
  LW_E_ARGUMENT = 66,
  LW_E_INPUT_RANGE = 67,
  LW_E_INPUT_NAN = 68,
  LW_E_KERNEL = 69,
  LW_E_BUSY = 70,
} lw_status;

#endif
