// Sizes that follow from an operator's attributes and its tensors' shapes.
#include "checked.h"
#include "lw_internal.h"

uint64_t lw_popcount(const uint8_t *bytes, uint64_t count) {
  uint64_t total = 0;
  for (uint64_t i = 0; i < count; i += 8) {
    uint64_t x = 0;
    __builtin_memcpy(&x, bytes + i, count - i < 8 ? (size_t)(count - i) : 8);
    x -= (x >> 1) & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0Fu;
    total += (x * 0x0101010101010101u) >> 56;
  }
  return total;
}

lw_window lw_window_of(const lw_op_record *op) {
  const uint32_t *a = op->attributes;
  if (op->kind == LW_OP_CONV || op->kind == LW_OP_DEPTHWISE)
    return (lw_window){a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]};
  return (lw_window){a[0], a[1], a[2], a[3], 1, 1, a[4], a[5], a[6], a[7]};
}

// Result size along one axis; 0 when the window does not fit.
uint64_t lw_window_output(uint64_t size, uint64_t kernel, uint64_t stride, uint64_t dilation, uint64_t pads) {
  const uint64_t extent = dilation * (kernel - 1) + 1;
  return size + pads < extent ? 0 : (size + pads - extent) / stride + 1;
}

float lw_attribute_f32(const lw_op_record *op, uint32_t slot) {
  float value;
  __builtin_memcpy(&value, &op->attributes[slot], sizeof value);
  return value;
}

uint64_t lw_tensor_elements(const lw_tensor_record *tensor) {
  uint64_t elements = 1;
  for (uint32_t i = 0; i < tensor->rank; i++) elements = lw_sat_mul(elements, tensor->dims[i]);
  return elements;
}

uint64_t lw_tensor_plain_bytes(const lw_tensor_record *tensor) {
  return lw_sat_mul(lw_tensor_elements(tensor), tensor->dtype == LW_DTYPE_F32 ? 4 : 1);
}

uint64_t lw_tensor_pixels(const lw_tensor_record *tensor) { return (uint64_t)tensor->dims[2] * tensor->dims[3]; }

uint64_t lw_tensor_memory(const lw_tensor_record *tensor) {
  if (tensor->layout != LW_LAYOUT_QUADS) return lw_tensor_plain_bytes(tensor);
  const uint64_t planes = lw_ceil_div(tensor->dims[1], LW_QUAD);
  return lw_sat_mul(planes, lw_plane_bytes((size_t)lw_tensor_pixels(tensor)));
}

static lw_conv_parts conv_shape(const lw_file *file, const lw_op_record *op) {
  const lw_tensor_record *input = &file->tensors[op->inputs[0]];
  const lw_window window = lw_window_of(op);
  lw_conv_parts parts = {0};
  parts.block_rows = op->attributes[LW_CONV_BLOCK_ROWS];
  parts.channels = file->tensors[op->output].dims[1];
  parts.rows = (uint32_t)lw_ceil_div(parts.channels, parts.block_rows);
  parts.c4 = (uint32_t)lw_ceil_div(input->dims[1], LW_QUAD);
  const uint64_t k4 = lw_sat_mul((uint64_t)window.kernel_h * window.kernel_w, parts.c4);
  parts.k4 = k4 > UINT32_MAX ? UINT32_MAX : (uint32_t)k4;
  parts.sparse = op->attributes[LW_CONV_ENCODING] == LW_ENCODING_BITMASK;
  parts.mask_stride = parts.sparse ? lw_ceil_div(parts.k4, 8) : 0;
  return parts;
}

uint64_t lw_conv_mask_end(const lw_file *file, const lw_op_record *op) {
  const lw_conv_parts parts = conv_shape(file, op);
  return lw_sat_align(lw_sat_mul(parts.rows, parts.mask_stride), LW_ALIGNMENT);
}

lw_conv_parts lw_conv_parts_of(const lw_file *file, const lw_op_record *op) {
  lw_conv_parts parts = conv_shape(file, op);
  const uint64_t mask_bytes = parts.rows * parts.mask_stride;
  parts.kept = parts.sparse ? lw_popcount(file->data + op->data_offset, mask_bytes) : (uint64_t)parts.rows * parts.k4;
  const uint64_t values = (uint64_t)parts.rows * parts.block_rows * 4;
  parts.weights = lw_sat_align(mask_bytes, LW_ALIGNMENT);
  parts.bias = parts.weights + lw_sat_align(parts.kept * parts.block_rows * LW_QUAD, LW_ALIGNMENT);
  parts.scale = parts.bias + lw_sat_align(values, LW_ALIGNMENT);
  parts.end = parts.scale + lw_sat_align(values, LW_ALIGNMENT);
  return parts;
}

static uint64_t part(uint64_t count, uint64_t element) {
  return lw_sat_align(lw_sat_mul(count, element), LW_ALIGNMENT);
}

uint64_t lw_op_data_bytes(const lw_file *file, const lw_op_record *op) {
  const lw_tensor_record *input = &file->tensors[op->inputs[0]];
  const lw_tensor_record *output = &file->tensors[op->output];
  const lw_window window = lw_window_of(op);
  const uint64_t taps = (uint64_t)window.kernel_h * window.kernel_w;
  switch (op->kind) {
    case LW_OP_CONV:
      return lw_conv_parts_of(file, op).end;
    case LW_OP_DEPTHWISE: {
      const uint64_t channels = lw_sat_align(input->dims[1], LW_QUAD);
      return part(channels * taps, 1) + 2 * part(channels, 4);
    }
    case LW_OP_AVG_POOL: {
      const int padded = (window.pad_top | window.pad_left | window.pad_bottom | window.pad_right) != 0;
      return part(padded && op->attributes[LW_AVG_POOL_INCLUDE_PAD] == 0 ? taps : 1, 4);
    }
    case LW_OP_RESIZE: {
      const uint64_t fields = op->attributes[LW_RESIZE_MODE] == LW_RESIZE_BILINEAR ? 3 : 1;
      return fields * (part(output->dims[2], 2) + part(output->dims[3], 2));
    }
    case LW_OP_TABLE:
      return part(op->attributes[LW_TABLE_CHANNELS], 128);
    default:
      return 0;
  }
}

uint64_t lw_op_macs(const lw_file *file, const lw_op_record *op) {
  const lw_tensor_record *input = &file->tensors[op->inputs[0]];
  const lw_window window = lw_window_of(op);
  const uint64_t taps = (uint64_t)window.kernel_h * window.kernel_w;
  const uint64_t results = lw_tensor_elements(&file->tensors[op->output]);
  switch (op->kind) {
    case LW_OP_CONV:
      return lw_sat_mul(results, lw_sat_mul(taps, input->dims[1]));
    case LW_OP_DEPTHWISE:
    case LW_OP_AVG_POOL:
    case LW_OP_MAX_POOL:
      return lw_sat_mul(results, taps);
    default:
      return 0;
  }
}
