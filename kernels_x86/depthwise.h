// What the depthwise kernels share: lines of padded input, the two-level interleave, and the way from sums to bytes.
#ifndef LW_DEPTHWISE_H
#define LW_DEPTHWISE_H

#include "x86.h"

void lw_depthwise__scalar(const void *args);

#define LW_BLOCK_PIXELS 8u  // output pixels that one step computes: one 256-bit store

// The next block of a row, or its last pixels once more.
static inline uint32_t lw_next_block(uint32_t x, uint32_t width) {
  return x + 2 * LW_BLOCK_PIXELS <= width ? x + LW_BLOCK_PIXELS : width - LW_BLOCK_PIXELS;
}

// How output turns into lines: line i of a chunk is one padded input row.
typedef struct {
  size_t columns;  // of input that the outputs of one row read, padding included
  size_t stride;   // bytes between lines, with room for what the last step reads past the columns
  uint32_t rows;   // output rows whose input fits the scratch
} lw_line_plan;

lw_line_plan lw_plan_lines(const lw_depthwise_args *a, uint32_t step);

// The lines that output rows `row` to `row + rows` read, into the scratch.
void lw_write_lines__avx2(const lw_depthwise_args *a, const lw_line_plan *plan, uint32_t row, uint32_t rows);

LW_INLINE LW_TARGET_AVX2 __m256i lw_load(const uint8_t *p) {
  return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
LW_INLINE LW_TARGET_AVX2 void lw_store(uint8_t *p, __m256i v) { _mm256_storeu_si256((__m256i *)(void *)p, v); }

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
  const size_t stride = plan.stride, step_bytes = (size_t)a->stride_h * step * stride;
  const uint32_t width = a->output_width, end = a->row_end;
  uint8_t *output = a->output;
  for (uint32_t y = a->row_begin; y < end; y += plan.rows) {
    const uint32_t rows = end - y < plan.rows ? end - y : plan.rows;
    const uint8_t *lines = a->scratch;
    lw_write_lines__avx2(a, &plan, y, rows);
    for (uint32_t r = 0; r < rows; r += step, lines += step_bytes) {
      const uint32_t here = rows - r < step ? rows - r : step;
      compute(filter, lines, stride, output, width, here);
      output += (size_t)here * width * LW_QUAD;
    }
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
