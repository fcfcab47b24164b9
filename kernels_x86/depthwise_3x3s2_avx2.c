// Depthwise 3x3, stride 2, AVX2.
//
// Neighbouring input pixels 2x and 2x + 1 are the two taps of one maddubs, so a byte shuffle per row brings the first
// two columns of taps; the third column joins two rows in one pair. Of the five pairs of taps, the last holds one tap
// only: the row that it belongs to is chosen so that all its three taps add up in i16, which hardly ever fails. Where
// the other two rows fit as well, two sums are joined; else four, or five for a filter without such a row.
//
// Floor on four vector pipes, per 32 output bytes: 10 maddubs, 10 shuffles, 2 blends, 12 conversions and multiplies, 7
// packs and clamps, and 18, 26 or 36 to join the pairs: 59, 67 or 77 operations, 15 to 19 cycles, 2.1 to 1.7 outputs a
// cycle.
#include "depthwise.h"

void lw_depthwise_3x3s2__avx2(const void *args);

typedef struct {
  __m256i pair_a, pair_b, pair_alone;  // columns 0 and 1 of a row, [4 pixels][4 channels][2] i8
  __m256i third_ab;                    // column 2 of rows a and b
  __m256i third_alone;                 // column 2 of the row that stands alone, and 0
  uint32_t a, b, alone;                // rows, a permutation of 0, 1, 2
  lw_output_step output;
} lw_filter_3x3s2;

LW_INLINE LW_TARGET_AVX2 __m128i four_weights(const int8_t *w /* [4] */) {
  int32_t four;
  memcpy(&four, w, sizeof four);
  return _mm_cvtsi32_si128(four);
}
LW_INLINE LW_TARGET_AVX2 __m256i tap_pair(const int8_t *w0 /* [4] */, const int8_t *w1 /* [4] */) {
  return _mm256_broadcastq_epi64(_mm_unpacklo_epi8(four_weights(w0), four_weights(w1)));
}

typedef enum {
  JOIN_NONE,   // five pairs, widened one by one
  JOIN_ALONE,  // the row that stands alone adds up in i16
  JOIN_BOTH    // and so do the other two
} join;

// The weights with row `alone` by itself, and what then fits.
LW_INLINE LW_TARGET_AVX2 join load_weights(const int8_t *w /* [9][4] */, uint32_t alone, lw_filter_3x3s2 *f) {
  static const int8_t none[LW_QUAD] = {0};
  f->alone = alone;
  f->a = alone == 0 ? 1 : 0;
  f->b = alone == 2 ? 1 : 2;
  const int8_t *a = w + f->a * 12, *b = w + f->b * 12, *c = w + alone * 12;
  f->pair_a = tap_pair(a, a + 4);
  f->pair_b = tap_pair(b, b + 4);
  f->pair_alone = tap_pair(c, c + 4);
  f->third_ab = tap_pair(a + 8, b + 8);
  f->third_alone = tap_pair(c + 8, none);
  if (!lw_fits_i16(_mm256_adds_epi16(lw_most(f->pair_alone), lw_most(f->third_alone)),
                   _mm256_adds_epi16(lw_least(f->pair_alone), lw_least(f->third_alone))))
    return JOIN_NONE;
  const __m256i most =
      _mm256_adds_epi16(_mm256_adds_epi16(lw_most(f->pair_a), lw_most(f->pair_b)), lw_most(f->third_ab));
  const __m256i least =
      _mm256_adds_epi16(_mm256_adds_epi16(lw_least(f->pair_a), lw_least(f->pair_b)), lw_least(f->third_ab));
  return lw_fits_i16(most, least) ? JOIN_BOTH : JOIN_ALONE;
}

// sum += a + b, both [4 pixels][4 channels] i16; sum[0]: pixels 0 and 2, sum[1]: pixels 1 and 3, i32.
LW_INLINE LW_TARGET_AVX2 void widen(__m256i a, __m256i b, __m256i sum[2]) {
  const __m256i ones = _mm256_set1_epi16(1);
  sum[0] = _mm256_add_epi32(sum[0], _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), ones));
  sum[1] = _mm256_add_epi32(sum[1], _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), ones));
}

// Four output pixels; the rows point to the first column of the first pixel's window.
LW_INLINE LW_TARGET_AVX2 void four_pixels(const lw_filter_3x3s2 *f, const uint8_t *a, const uint8_t *b,
                                          const uint8_t *alone, join fits, __m256i sum[2]) {
  const __m256i pairs = _mm256_setr_epi8(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15,  //
                                         0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
  const __m256i third = _mm256_blend_epi32(lw_load(a + 8), lw_load(b + 4), 0xAA);
  const __m256i from_a = _mm256_maddubs_epi16(_mm256_shuffle_epi8(lw_load(a), pairs), f->pair_a);
  const __m256i from_b = _mm256_maddubs_epi16(_mm256_shuffle_epi8(lw_load(b), pairs), f->pair_b);
  const __m256i from_third = _mm256_maddubs_epi16(_mm256_shuffle_epi8(third, pairs), f->third_ab);
  const __m256i from_alone = _mm256_maddubs_epi16(_mm256_shuffle_epi8(lw_load(alone), pairs), f->pair_alone);
  const __m256i from_last = _mm256_maddubs_epi16(_mm256_shuffle_epi8(lw_load(alone + 8), pairs), f->third_alone);
  sum[0] = sum[1] = f->output.bias;
  const __m256i alone_sum = _mm256_add_epi16(from_alone, from_last);
  if (fits == JOIN_BOTH) {
    widen(_mm256_add_epi16(_mm256_add_epi16(from_a, from_b), from_third), alone_sum, sum);
    return;
  }
  widen(from_a, from_b, sum);
  widen(from_third, fits == JOIN_ALONE ? alone_sum : from_alone, sum);
  if (fits == JOIN_NONE) widen(from_last, _mm256_setzero_si256(), sum);
}

LW_INLINE LW_TARGET_AVX2 void compute_row(const lw_filter_3x3s2 *f, const uint8_t *lines, size_t line_stride,
                                          uint8_t *output, uint32_t output_width, join fits) {
  const lw_output_step out = f->output;
  const uint8_t *a = lines + f->a * line_stride, *b = lines + f->b * line_stride, *c = lines + f->alone * line_stride;
  for (uint32_t x = 0;; x = lw_next_block(x, output_width)) {
    const size_t at = (size_t)x * 2 * LW_QUAD, half = (size_t)LW_BLOCK_PIXELS * LW_QUAD;
    __m256i first[2], second[2];
    four_pixels(f, a + at, b + at, c + at, fits, first);
    four_pixels(f, a + at + half, b + at + half, c + at + half, fits, second);
    const __m256i mixed = lw_requantized(first[0], first[1], second[0], second[1], &out);  // pixels 01 45 23 67
    lw_store_pixels(output + (size_t)x * LW_QUAD, _mm256_permute4x64_epi64(mixed, 0xD8), output_width);
    if (x + LW_BLOCK_PIXELS >= output_width) return;
  }
}

#define COMPUTE(name, fits)                                                                                      \
  static LW_TARGET_AVX2 void name(const void *filter, const uint8_t *lines, size_t line_stride, uint8_t *output, \
                                  uint32_t output_width, uint32_t rows) {                                        \
    (void)rows;                                                                                                  \
    compute_row(filter, lines, line_stride, output, output_width, fits);                                         \
  }
COMPUTE(compute_any, JOIN_NONE)
COMPUTE(compute_alone, JOIN_ALONE)
COMPUTE(compute_both, JOIN_BOTH)

LW_TARGET_AVX2 void lw_depthwise_3x3s2__avx2(const void *args) {
  static const lw_line_rows compute[] = {compute_any, compute_alone, compute_both};
  const lw_depthwise_args *a = args;
  lw_filter_3x3s2 f;
  f.output = lw_output_step_of(a);
  join fits = load_weights(a->weights, 1, &f);
  if (fits == JOIN_NONE) fits = load_weights(a->weights, 0, &f);
  if (fits == JOIN_NONE) fits = load_weights(a->weights, 2, &f);
  lw_depthwise_lines(a, 1, compute[fits], &f);
}
