// What the depthwise kernels share: padded lines, the two-level interleave, and the way from sums to bytes.
//
// Input rows are first copied into lines of scratch whose ends hold the zero point, so that the inner loops know no
// border. Only then do they compute: a line that was just written cannot be forwarded to unaligned loads.
#ifndef LW_DEPTHWISE_H
#define LW_DEPTHWISE_H

#include "x86.h"

void lw_depthwise__scalar(const void *args);

#define LW_BLOCK_PIXELS 8u  // output pixels that one step computes: one 256-bit store

// How output turns into lines: line i of a chunk is one padded input row.
typedef struct {
  size_t columns;  // of input that the outputs of one row read, padding included
  size_t stride;   // bytes between lines, with room for what the last step reads past the columns
  uint32_t rows;   // output rows whose input fits the scratch
} lw_line_plan;

static inline lw_line_plan lw_plan_lines(const lw_depthwise_args *a, uint32_t step) {
  const size_t outputs = a->output_width < LW_BLOCK_PIXELS ? LW_BLOCK_PIXELS : a->output_width;
  const size_t pixels = (outputs - 1) * a->stride_w + a->kernel_w + 16;
  lw_line_plan plan = {((size_t)a->output_width - 1) * a->stride_w + a->kernel_w, lw_ceil_div(pixels, 8) * 32, 0};
  const size_t lines = a->scratch_bytes / plan.stride;
  if (lines >= a->kernel_h) plan.rows = (uint32_t)((lines - a->kernel_h) / a->stride_h + 1);
  if (plan.rows > step) plan.rows -= plan.rows % step;
  return plan;
}

LW_INLINE LW_TARGET_AVX2 __m256i lw_load(const uint8_t *p) {
  return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
LW_INLINE LW_TARGET_AVX2 void lw_store(uint8_t *p, __m256i v) { _mm256_storeu_si256((__m256i *)(void *)p, v); }

// Exactly `bytes`, a multiple of 4: the last row of a plane has nothing readable behind it.
LW_INLINE LW_TARGET_AVX2 void lw_copy_pixels(uint8_t *to, const uint8_t *from, size_t bytes) {
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

// Both ends are set by whole vectors before the row goes in between; the line has room for what they write too much.
LW_INLINE LW_TARGET_AVX2 void lw_write_line(const lw_depthwise_args *a, int32_t y, size_t columns,
                                            uint8_t *line /* [columns][4] u8 */) {
  const __m256i zero = _mm256_set1_epi8((int8_t)a->zero_point);
  const int outside = y < 0 || (uint32_t)y >= a->height || a->pad_left >= columns;
  const size_t left = outside ? columns : a->pad_left;
  const size_t body = outside ? 0 : a->width < columns - left ? a->width : columns - left;
  for (size_t i = 0; i < left; i += 8) lw_store(line + i * LW_QUAD, zero);
  for (size_t i = left + body; i < columns; i += 8) lw_store(line + i * LW_QUAD, zero);
  if (body) lw_copy_pixels(line + left * LW_QUAD, a->input + (size_t)y * a->width * LW_QUAD, body * LW_QUAD);
}

// Computes `rows` (1 .. step) output rows from lines that begin with the first row's window.
typedef void (*lw_line_rows)(const void *filter, const uint8_t *lines, size_t line_stride, uint8_t *output,
                             uint32_t output_width, uint32_t rows);

LW_INLINE LW_TARGET_AVX2 void lw_depthwise_lines(const lw_depthwise_args *a, uint32_t step, lw_line_rows compute,
                                                 const void *filter) {
  const lw_line_plan plan = lw_plan_lines(a, step);
  if (plan.rows == 0) {  // padding so wide that not one window of lines fits
    lw_depthwise__scalar(a);
    return;
  }
  for (uint32_t y = a->row_begin; y < a->row_end; y += plan.rows) {
    const uint32_t rows = a->row_end - y < plan.rows ? a->row_end - y : plan.rows;
    const uint32_t lines = (rows - 1) * a->stride_h + a->kernel_h;
    const int32_t top = (int32_t)(y * a->stride_h) - (int32_t)a->pad_top;
    for (uint32_t i = 0; i < lines; i++) lw_write_line(a, top + (int32_t)i, plan.columns, a->scratch + i * plan.stride);
    for (uint32_t r = 0; r < rows; r += step)
      compute(filter, a->scratch + (size_t)r * a->stride_h * plan.stride, plan.stride,
              a->output + (size_t)(y + r - a->row_begin) * a->output_width * LW_QUAD, a->output_width,
              rows - r < step ? rows - r : step);
  }
}

// The first `wanted` (4 or 8) of eight pixels: bytes of four rows side by side, as the four taps of a dot product.
// result[i]: pixel i in the low half, i + 4 in the high half, each [4 channels][4 rows] u8.
LW_INLINE LW_TARGET_AVX2 void lw_interleave(__m256i r0, __m256i r1, __m256i r2, __m256i r3, uint32_t wanted,
                                            __m256i *result) {
  const __m256i top = _mm256_unpacklo_epi8(r0, r1), bottom = _mm256_unpacklo_epi8(r2, r3);
  result[0] = _mm256_unpacklo_epi16(top, bottom);
  result[1] = _mm256_unpackhi_epi16(top, bottom);
  if (wanted <= 2) return;
  const __m256i top2 = _mm256_unpackhi_epi8(r0, r1), bottom2 = _mm256_unpackhi_epi8(r2, r3);
  result[2] = _mm256_unpacklo_epi16(top2, bottom2);
  result[3] = _mm256_unpackhi_epi16(top2, bottom2);
}

typedef struct {
  __m256i bias;                   // [2][4 channels] i32
  __m256 scale;                   // [2][4 channels]
  __m256i zero_point, low, high;  // i8; the clamp before the zero point is added, -127..127
} lw_output_step;

LW_INLINE LW_TARGET_AVX2 lw_output_step lw_output_step_of(const lw_depthwise_args *a) {
  const lw_requant *r = &a->requant;
  return (lw_output_step){_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)a->bias)),
                          _mm256_broadcast_ps((const __m128 *)(const void *)a->scale),
                          _mm256_set1_epi8((int8_t)r->zero_point),
                          _mm256_set1_epi8((int8_t)(r->clamp_min - r->zero_point)),
                          _mm256_set1_epi8((int8_t)(r->clamp_max - r->zero_point))};
}

LW_INLINE LW_TARGET_AVX2 __m256i lw_scaled(__m256i sum, const lw_output_step *o) {
  return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), o->scale));
}

// Four vectors of sums, pixel i and i + 4 in each -> [8 pixels][4] u7. Saturating to i8 before the clamp is exact
// because both bounds are i8.
LW_INLINE LW_TARGET_AVX2 __m256i lw_requantized(__m256i s0, __m256i s1, __m256i s2, __m256i s3,
                                                const lw_output_step *o) {
  const __m256i p01 = _mm256_packs_epi32(lw_scaled(s0, o), lw_scaled(s1, o));
  const __m256i p23 = _mm256_packs_epi32(lw_scaled(s2, o), lw_scaled(s3, o));
  const __m256i bytes = _mm256_packs_epi16(p01, p23);
  return _mm256_add_epi8(_mm256_min_epi8(_mm256_max_epi8(bytes, o->low), o->high), o->zero_point);
}

// Writes the first `pixels` (up to 8) and nothing else: the next row may belong to another thread.
LW_INLINE LW_TARGET_AVX2 void lw_store_pixels(uint8_t *to, __m256i v, uint32_t pixels) {
  if (pixels >= 8) {
    lw_store(to, v);
  } else if (pixels >= 4) {
    const __m256i step = _mm256_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3);
    const __m256i last = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    const __m256i order = _mm256_add_epi32(step, _mm256_mullo_epi32(last, _mm256_set1_epi32((int32_t)pixels - 4)));
    const __m256i both = _mm256_permutevar8x32_epi32(v, order);
    _mm_storeu_si128((__m128i *)(void *)to, _mm256_castsi256_si128(both));
    _mm_storeu_si128((__m128i *)(void *)(to + (pixels - 4) * LW_QUAD), _mm256_extracti128_si256(both, 1));
  } else {
    uint8_t bytes[32];
    lw_store(bytes, v);
    for (uint32_t i = 0; i < pixels; i++) memcpy(to + i * LW_QUAD, bytes + i * LW_QUAD, LW_QUAD);
  }
}

// 1 if chained i16 sums of u7 x s8 products stay in range for every input: `most` is what 127 everywhere gives with the
// positive weights only, `least` with the negative ones, both added with saturation.
LW_INLINE LW_TARGET_AVX2 int lw_fits_i16(__m256i most, __m256i least) {
  const __m256i over = _mm256_cmpeq_epi16(most, _mm256_set1_epi16(INT16_MAX));
  const __m256i under = _mm256_cmpeq_epi16(least, _mm256_set1_epi16(INT16_MIN));
  return _mm256_testz_si256(_mm256_or_si256(over, under), _mm256_set1_epi8(-1));
}
LW_INLINE LW_TARGET_AVX2 __m256i lw_most(__m256i weights) {
  return _mm256_maddubs_epi16(_mm256_set1_epi8(127), _mm256_max_epi8(weights, _mm256_setzero_si256()));
}
LW_INLINE LW_TARGET_AVX2 __m256i lw_least(__m256i weights) {
  return _mm256_maddubs_epi16(_mm256_set1_epi8(127), _mm256_min_epi8(weights, _mm256_setzero_si256()));
}

#endif
