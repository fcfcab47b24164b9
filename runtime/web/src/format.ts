// Generated from runtime/format/description.py by generate.py. Do not edit.
export const MAGIC = [137, 76, 65, 67, 69, 13, 10, 26] as const;
export const ALIGNMENT = 64 as const;
export const HEADER_BYTES = 64 as const;
export const DTYPES = {"u7": 0, "f32": 1} as const;
export const OPERATORS = {"1": "quantize", "2": "dequantize", "3": "conv", "4": "depthwise", "5": "add", "6": "mul", "7": "avg_pool", "8": "max_pool", "9": "concat", "10": "pad", "11": "resize", "12": "softmax", "13": "table", "14": "layout", "15": "reshape", "16": "transpose"} as const;
export const FIRST_RUN_ERROR = 64 as const;
export const TIERS = {"0": "scalar", "1": "avx2", "2": "avxvnni", "3": "avx512vnni", "16": "neon", "17": "dotprod", "18": "i8mm", "32": "simd128", "33": "relaxed", "34": "relaxed_dot", "255": "auto"} as const;
export const WORKER_STACK_BYTES = 65536 as const;
export const STATUSES = {"1": ["truncated", "the file holds at least the header and exactly file_bytes bytes"], "2": ["magic", "the first eight bytes are the magic"], "3": ["version", "version_major is 1 and version_minor is not newer than the reader"], "4": ["reserved", "reserved and unused bytes, fields and attributes are zero"], "5": ["section_table", "six sections, each kind once, ascending, table right after the header"], "6": ["section_offset", "sections are 64-byte aligned, contiguous, and cover the file to its end"], "7": ["section_bytes", "a section of records is a whole number of records within the limits"], "8": ["padding", "bytes between the end of a section or part and the next 64-byte line are zero"], "9": ["checksum", "the checksum matches the bytes after the header"], "10": ["name_range", "names are consumed in order without gaps and cover the names section"], "11": ["name_utf8", "names and metadata are valid UTF-8 without control characters; 1024 bytes a name"], "12": ["name_unique", "names of graph inputs are distinct, and those of graph outputs, and not empty"], "13": ["metadata", "metadata is empty or a JSON object's text of at most 1 MiB"], "14": ["tensor_dtype", "dtype is u7 or f32"], "15": ["tensor_layout", "layout is plain or quads; quads are rank 4, batch 1, u7"], "16": ["tensor_dims", "rank is 1 to 4, dims 1 to 65535, at most 2^28 elements, unused dims 0"], "17": ["tensor_scale", "a u7 scale is finite, normal and positive; an f32 tensor's scale is 0"], "18": ["tensor_zero_point", "a zero point is 0 to 127; 0 for f32"], "19": ["graph_counts", "at least one input, one output and one operator; lists fill the section"], "20": ["graph_inputs", "graph inputs are distinct, plain, and written by no operator"], "21": ["graph_outputs", "graph outputs are distinct, plain, and written by an operator"], "22": ["op_kind", "the operator is known"], "23": ["op_inputs", "the number of inputs fits the operator; the rest is NO_TENSOR; indices exist"], "24": ["op_order", "an operator reads only graph inputs and results of earlier operators"], "25": ["op_output", "each tensor is written once, and by one operator if not a graph input"], "26": ["tensor_unused", "every tensor is read by an operator or is a graph output"], "27": ["op_dtype", "the dtypes and layouts of an operator's tensors fit the operator"], "28": ["op_attribute", "an attribute lies in its range"], "29": ["op_shape", "the output shape is what the operator computes from its inputs"], "30": ["op_quantization", "operators that only move values keep scale and zero point"], "31": ["data_range", "operator data is consumed in order, 64-byte aligned, and covers the section"], "32": ["data_bytes", "an operator's data has exactly the size that its attributes imply"], "33": ["mask_bits", "mask bits past K4 are zero; a bitmask drops at least one block"], "34": ["block_zero", "a kept block of a bitmask holds a weight that is not zero"], "35": ["weight_range", "weights are -127 to 127"], "36": ["weight_padding", "weights, biases and scales of padding channels are zero"], "37": ["accumulator", "|bias| + 127 * sum|w| < 2^31 per output channel"], "38": ["multiplier", "scales and multipliers are finite, normal, positive, and keep the product below 2^31"], "39": ["clamp", "0 <= clamp_min <= clamp_max <= 127"], "40": ["table_range", "table entries are 0 to 127"], "41": ["resize_range", "resize indices lie in the input, weights are 0 to 256"], "42": ["cost", "the multiply-accumulates and bytes moved by one run stay within 2^40"], "64": ["memory", "the model needs more memory than the caller allows"], "65": ["alignment", "the file or the work memory is not 64-byte aligned"], "66": ["argument", "an argument is missing or out of range"], "67": ["input_range", "a u7 input value is above 127"], "68": ["input_nan", "a float input holds NaN"], "69": ["kernel", "the kernel override names a tier that this machine or build does not have"], "70": ["busy", "the model is already running on another thread"]} as const;
export const enum HeaderOffset {
  magic = 0,
  version_major = 8,
  version_minor = 10,
  section_count = 12,
  file_bytes = 16,
  checksum = 24,
  reserved = 32,
}
export const enum ErrorSlot {
  status = 0,
  where = 1,
  where_bytes = 2,
  index = 3,
  found = 4,
  wanted = 5,
  slots = 6,
}
export const enum ModelSlot {
  inputs = 0,
  outputs = 1,
  ops = 2,
  arena_bytes = 3,
  tier = 4,
  workers = 5,
  metadata = 6,
  metadata_bytes = 7,
  slots = 8,
}
export const enum TensorSlot {
  name = 0,
  name_bytes = 1,
  dtype = 2,
  scale = 3,
  zero_point = 4,
  bytes = 5,
  rank = 6,
  dim_0 = 7,
  dim_1 = 8,
  dim_2 = 9,
  dim_3 = 10,
  slots = 11,
}
export const enum OpSlot {
  name = 0,
  name_bytes = 1,
  kind = 2,
  kernel = 3,
  kernel_bytes = 4,
  tier = 5,
  macs = 6,
  kept_macs = 7,
  weight_bytes = 8,
  slots = 9,
}
export const enum NormSlot {
  mean_0 = 0,
  mean_1 = 1,
  mean_2 = 2,
  std_0 = 3,
  std_1 = 4,
  std_2 = 5,
  scale = 6,
  zero_point = 7,
  channels = 8,
  planar = 9,
  bgr = 10,
  slots = 11,
}
