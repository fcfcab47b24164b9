// The lines of padded input that the depthwise kernels of every tier read.
//
// Input rows are first copied into lines of scratch whose ends hold the zero point, so that the inner loops know no
// border. Only then do they compute: a line that was just written cannot be forwarded to unaligned loads.
#include "depthwise.h"

lw_line_plan lw_plan_lines(const lw_depthwise_args *a, uint32_t step) {
  const size_t outputs = a->output_width < LW_BLOCK_PIXELS ? LW_BLOCK_PIXELS : a->output_width;
  const size_t pixels = (outputs - 1) * a->stride_w + a->kernel_w + 16;
  lw_line_plan plan = {((size_t)a->output_width - 1) * a->stride_w + a->kernel_w, lw_ceil_div(pixels, 8) * 32, 0};
  const uint32_t wanted = a->row_end - a->row_begin;
  if (((size_t)(wanted - 1) * a->stride_h + a->kernel_h) * plan.stride <= a->scratch_bytes) {
    plan.rows = wanted;  // as of small planes, which would notice the divisions
    return plan;
  }
  const size_t lines = a->scratch_bytes / plan.stride;
  if (lines >= a->kernel_h) plan.rows = (uint32_t)((lines - a->kernel_h) / a->stride_h + 1);
  if (plan.rows > step) plan.rows -= plan.rows % step;
  return plan;
}

// Exactly `bytes`, a multiple of 4: the last row of a plane has nothing readable behind it.
LW_INLINE LW_TARGET_AVX2 void copy_pixels(uint8_t *to, const uint8_t *from, size_t bytes) {
  if (bytes >= 32) {
    for (size_t i = 0; i + 32 <= bytes; i += 32) lw_store(to + i, lw_load(from + i));
    lw_store(to + bytes - 32, lw_load(from + bytes - 32));
  } else if (bytes >= 16) {
    const __m128i first = _mm_loadu_si128((const __m128i *)(const void *)from);
    const __m128i last = _mm_loadu_si128((const __m128i *)(const void *)(from + bytes - 16));
    _mm_storeu_si128((__m128i *)(void *)to, first);
    _mm_storeu_si128((__m128i *)(void *)(to + bytes - 16), last);
  } else {
    for (size_t i = 0; i < bytes; i += LW_QUAD) memcpy(to + i, from + i, LW_QUAD);
  }
}

// What all lines of a call have in common.
typedef struct {
  size_t left, body, columns;  // pixels: beside the image on the left, of the image, in all
  __m256i zero;
} line_parts;

LW_INLINE LW_TARGET_AVX2 void fill(uint8_t *line, size_t begin, size_t end, __m256i zero) {
  for (size_t i = begin; i < end; i += 8) lw_store(line + i * LW_QUAD, zero);
}

// Both ends are set by whole vectors before the row goes in between; the line has room for what they write too much.
LW_INLINE LW_TARGET_AVX2 void write_line(const line_parts *p, const uint8_t *row, uint8_t *line /* [columns][4] u8 */) {
  fill(line, 0, p->left, p->zero);
  fill(line, p->left + p->body, p->columns, p->zero);
  copy_pixels(line + p->left * LW_QUAD, row, p->body * LW_QUAD);
}

LW_TARGET_AVX2 void lw_write_lines__avx2(const lw_depthwise_args *a, const lw_line_plan *plan, uint32_t row,
                                         uint32_t rows) {
  const size_t left = a->pad_left < plan->columns ? a->pad_left : plan->columns, room = plan->columns - left;
  const line_parts parts = {left, a->width < room ? a->width : room, plan->columns,
                            _mm256_set1_epi8((int8_t)a->zero_point)};
  const size_t stride = plan->stride, row_bytes = (size_t)a->width * LW_QUAD;
  const uint32_t height = a->height;
  const int64_t top = (int64_t)row * a->stride_h - a->pad_top;
  const int64_t bottom = top + (rows - 1) * a->stride_h + a->kernel_h;
  const uint8_t *input = a->input;
  uint8_t *line = a->scratch;
  for (int64_t y = top; y < bottom; y++, line += stride) {
    if (y < 0 || y >= height || parts.body == 0)
      fill(line, 0, parts.columns, parts.zero);
    else
      write_line(&parts, input + (size_t)y * row_bytes, line);
  }
}
