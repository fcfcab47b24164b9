// What a convolution needs besides its file data: block positions expanded from the bitmask and the first block of each
// row. And how it is computed: in place, packed, or as one pixel.
#include "checked.h"
#include "lw_internal.h"

static uint32_t output_pixels(const lw_file *file, const lw_op_record *op) {
  const lw_tensor_record *out = &file->tensors[op->output];
  return out->rank == 2 ? 1 : out->dims[2] * out->dims[3];
}

int lw_conv_is_gemv(const lw_file *file, const lw_op_record *op) { return output_pixels(file, op) == 1; }

int lw_conv_is_direct(const lw_file *file, const lw_op_record *op) {
  const lw_tensor_record *in = &file->tensors[op->inputs[0]];
  const lw_window w = lw_window_of(op);
  const int pointwise = w.kernel_h == 1 && w.kernel_w == 1;
  const int unpadded = (w.pad_top | w.pad_left | w.pad_bottom | w.pad_right) == 0;
  if (lw_conv_is_gemv(file, op)) return pointwise && unpadded && in->dims[2] == 1 && in->dims[3] == 1;
  return pointwise && unpadded && w.stride_h == 1 && w.stride_w == 1;
}

int lw_conv_keeps_pairs(const lw_file *file, const lw_op_record *op) {
  const lw_conv_parts parts = lw_conv_parts_of(file, op);
  const uint8_t *mask = file->data + op->data_offset;
  for (uint64_t i = 0; i < parts.rows * parts.mask_stride; i++)
    if (((mask[i] >> 1 ^ mask[i]) & 0x55) != 0) return 0;
  return parts.sparse;
}

uint64_t lw_conv_table_bytes(const lw_conv_parts *parts, const lw_kernel *kernel) {
  const uint64_t kept = lw_sat_align(parts->kept * sizeof(uint16_t), LW_LINE);
  uint64_t bytes = lw_sat_align(((uint64_t)parts->rows + 1) * sizeof(uint32_t), LW_LINE);
  if (parts->sparse) bytes += kept;
  if (lw_wants_pairs(kernel)) bytes += kept + lw_sat_align(parts->rows * sizeof(uint16_t), LW_LINE);
  return bytes;
}

static uint32_t expand_row(const uint8_t *mask, uint64_t bytes, uint16_t *index) {
  uint32_t kept = 0;
  for (uint64_t at = 0; at < bytes; at += 8) {
    uint64_t bits = 0;
    __builtin_memcpy(&bits, mask + at, bytes - at < 8 ? (size_t)(bytes - at) : 8);
    for (; bits != 0; bits &= bits - 1) index[kept++] = (uint16_t)(at * 8 + (uint32_t)__builtin_ctzll(bits));
  }
  return kept;
}

void lw_plan_conv(lw_op_plan *plan, uint8_t *memory) {
  const lw_conv_parts *p = &plan->conv;
  const uint64_t kept_bytes = lw_sat_align(p->kept * sizeof(uint16_t), LW_LINE);
  plan->index = p->sparse ? (uint16_t *)(void *)memory : NULL;
  if (p->sparse) memory += kept_bytes;
  plan->row_start = (uint32_t *)(void *)memory;
  memory += lw_sat_align(((uint64_t)p->rows + 1) * sizeof(uint32_t), LW_LINE);
  uint32_t kept = 0;
  for (uint32_t row = 0; row < p->rows; row++) {
    plan->row_start[row] = kept;
    kept += p->sparse ? expand_row(plan->data + row * p->mask_stride, p->mask_stride, plan->index + kept) : p->k4;
  }
  plan->row_start[p->rows] = kept;
  if (!lw_wants_pairs(plan->kernel)) return;
  plan->order = (uint16_t *)(void *)memory;
  plan->pairs = (uint16_t *)(void *)(memory + kept_bytes);
  lw_plan_pairs(plan);
}
