// What a convolution needs besides its file data: block positions expanded from the bitmask, the first block of each
// row, and which rows may add products in int16. And how it is computed: in place, packed, or as one pixel.
#include <string.h>

#include "checked.h"
#include "lw_internal.h"

#define SAFE_SUM 258u  // 127 * 258 <= 32767

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

uint64_t lw_conv_table_bytes(const lw_conv_parts *parts) {
  const uint64_t index = parts->sparse ? parts->kept * sizeof(uint16_t) : 0;
  return lw_sat_align(index, LW_LINE) + lw_sat_align(((uint64_t)parts->rows + 1) * sizeof(uint32_t), LW_LINE) +
         lw_sat_align(parts->rows, LW_LINE);
}

static uint32_t expand_row(const uint8_t *mask, uint64_t bytes, uint16_t *index) {
  uint32_t kept = 0;
  for (uint64_t at = 0; at < bytes; at += 8) {
    uint64_t bits = 0;
    memcpy(&bits, mask + at, bytes - at < 8 ? (size_t)(bytes - at) : 8);
    for (; bits != 0; bits &= bits - 1) index[kept++] = (uint16_t)(at * 8 + (uint32_t)__builtin_ctzll(bits));
  }
  return kept;
}

static uint64_t load8(const int8_t *bytes) {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  return word;
}

// Positive and negative magnitudes of eight weights, byte by byte: -127 .. 127, so nothing carries.
static inline void split_signs(uint64_t w, uint64_t *positive, uint64_t *negative) {
  const uint64_t sign = (w >> 7) & 0x0101010101010101u;
  const uint64_t mask = (sign << 8) - sign;  // 0xFF in each negative byte
  const uint64_t magnitude = (w ^ mask) + sign;
  *positive = magnitude & ~mask;
  *negative = magnitude & mask;
}

// Sets bit 15 of each 16-bit lane whose two bytes sum to more than SAFE_SUM.
static inline uint64_t over_safe(uint64_t bytes) {
  const uint64_t low = 0x00FF00FF00FF00FFu;
  const uint64_t sums = (bytes & low) + ((bytes >> 8) & low);
  return (sums + (0x8000u - SAFE_SUM - 1) * 0x0001000100010001u) & 0x8000800080008000u;
}

// Two consecutive kept blocks: products of lane columns 0-1 and 2-3 of both blocks must add up in int16.
static inline uint64_t pair_overflows(const int8_t *first, const int8_t *second, uint32_t words) {
  uint64_t over = 0;
  for (uint32_t k = 0; k < words; k++) {
    uint64_t p0, n0, p1, n1;
    split_signs(load8(first + k * 8), &p0, &n0);
    split_signs(load8(second + k * 8), &p1, &n1);
    over |= over_safe(p0 + p1) | over_safe(n0 + n1);
  }
  return over;
}

static uint64_t pair_overflows_4(const int8_t *pair) {  // blocks of one row of four: both in one word
  uint64_t p, n;
  split_signs(load8(pair), &p, &n);
  return over_safe((p & UINT32_MAX) + (p >> 32)) | over_safe((n & UINT32_MAX) + (n >> 32));
}

static uint8_t row_is_safe(const int8_t *weights, uint32_t blocks, uint32_t block_rows) {
  uint64_t over = 0;
  for (uint32_t b = 0; b + 2 <= blocks && over == 0; b += 2) {
    const int8_t *first = weights + (size_t)b * block_rows * LW_QUAD;
    switch (block_rows) {
      case 1:
        over = pair_overflows_4(first);
        break;
      case 2:
        over = pair_overflows(first, first + 8, 1);
        break;
      case 4:
        over = pair_overflows(first, first + 16, 2);
        break;
      default:
        over = pair_overflows(first, first + 32, 4);
        break;
    }
  }
  return over == 0;
}

void lw_plan_conv(lw_op_plan *plan, uint8_t *memory) {
  const lw_conv_parts *p = &plan->conv;
  const uint64_t index_bytes = p->sparse ? lw_sat_align(p->kept * sizeof(uint16_t), LW_LINE) : 0;
  plan->index = p->sparse ? (uint16_t *)(void *)memory : NULL;
  plan->row_start = (uint32_t *)(void *)(memory + index_bytes);
  plan->pair_safe = memory + index_bytes + lw_sat_align(((uint64_t)p->rows + 1) * sizeof(uint32_t), LW_LINE);
  const int8_t *weights = (const int8_t *)plan->data + p->weights;
  uint32_t kept = 0;
  for (uint32_t row = 0; row < p->rows; row++) {
    plan->row_start[row] = kept;
    const uint32_t blocks =
        p->sparse ? expand_row(plan->data + row * p->mask_stride, p->mask_stride, plan->index + kept) : p->k4;
    plan->pair_safe[row] = row_is_safe(weights + (size_t)kept * p->block_rows * LW_QUAD, blocks, p->block_rows);
    kept += blocks;
  }
  plan->row_start[p->rows] = kept;
}
