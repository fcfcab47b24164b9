// Depthwise 5x5, strides 1 and 2: 25 taps as eight four-tap dot products. Columns of rows 0 to 3 make five, row 4 the
// other three. Stride 1 computes two output rows from the same interleaved bytes, as in depthwise_3x3s1.h. Include
// after defining LW_TARGET and LW_DOT (see there), LW_KERNEL_S1 and LW_KERNEL_S2.
#include "depthwise.h"

enum { DOTS = 8 };
#define LW_UNROLL _Pragma("GCC unroll 8")

typedef struct {
  __m256i weights[2][DOTS];  // [output row][dot product], each [2][4 channels][4 taps] i8
  lw_output_step output;
} lw_filter_5x5;

LW_INLINE LW_TARGET __m128i four_weights(const int8_t *w /* [4] */) {
  int32_t four;
  memcpy(&four, w, sizeof four);
  return _mm_cvtsi32_si128(four);
}

// Weights of four taps of four channels, tap by tap within a channel.
LW_INLINE LW_TARGET __m256i four_taps(const int8_t *w0, const int8_t *w1, const int8_t *w2, const int8_t *w3) {
  const __m128i first = _mm_unpacklo_epi8(four_weights(w0), four_weights(w1));
  const __m128i last = _mm_unpacklo_epi8(four_weights(w2), four_weights(w3));
  return _mm256_broadcastsi128_si256(_mm_unpacklo_epi16(first, last));
}

static const int8_t no_weights[LW_QUAD] = {0};

LW_INLINE LW_TARGET const int8_t *tap(const int8_t *w /* [25][4] */, int row, int column) {
  return row < 0 || row > 4 || column > 4 ? no_weights : w + (row * 5 + column) * (int)LW_QUAD;
}

// Columns 0 to 4 of rows 0 to 3, of the output row `down` below the first.
LW_INLINE LW_TARGET void load_columns(const int8_t *w, int down, __m256i weights[DOTS]) {
  for (int x = 0; x < 5; x++)
    weights[x] = four_taps(tap(w, -down, x), tap(w, 1 - down, x), tap(w, 2 - down, x), tap(w, 3 - down, x));
}

// The sum of eight dot products; chain = how many add up in i16.
LW_INLINE LW_TARGET __m256i dot_8(const __m256i *const v[DOTS], int i, const __m256i w[DOTS], __m256i bias, int chain) {
  __m256i sum = bias;
#ifdef LW_DOT
  (void)chain;
  LW_UNROLL
  for (int g = 0; g < DOTS; g++) sum = LW_DOT(sum, v[g][i], w[g]);
#else
  const __m256i ones = _mm256_set1_epi16(1);
  LW_UNROLL
  for (int g = 0; g < DOTS; g += chain) {
    __m256i products = _mm256_maddubs_epi16(v[g][i], w[g]);
    LW_UNROLL
    for (int c = 1; c < chain; c++) products = _mm256_add_epi16(products, _mm256_maddubs_epi16(v[g + c][i], w[g + c]));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(products, ones));
  }
#endif
  return sum;
}

LW_INLINE LW_TARGET __m256i eight_pixels(const __m256i *const v[DOTS], const __m256i w[DOTS], const lw_output_step *out,
                                         int chain) {
  return lw_requantized(dot_8(v, 0, w, out->bias, chain), dot_8(v, 1, w, out->bias, chain),
                        dot_8(v, 2, w, out->bias, chain), dot_8(v, 3, w, out->bias, chain), out);
}

LW_INLINE LW_TARGET void compute_s1(const lw_filter_5x5 *f, const uint8_t *lines, size_t stride, uint8_t *output,
                                    uint32_t width, uint32_t rows, int chain) {
  const lw_output_step out = f->output;
  const uint8_t *row4 = lines + 4 * stride, *row5 = rows == 2 ? row4 + stride : row4;
  __m256i v[8], h[8];  // v: rows 0 to 3 of a column; h: rows 4 and 5 of a column and the next; pixels i and i + 4
  const __m256i *const dots[DOTS] = {v, v + 1, v + 2, v + 3, v + 4, h, h + 2, h + 4};
  for (uint32_t x = 0;; x = lw_next_block(x, width)) {
    LW_UNROLL
    for (int half = 0; half < 2; half++) {
      const size_t at = (x + 4 * (size_t)half) * LW_QUAD, next = at + LW_QUAD;
      lw_interleave(lw_load(lines + at), lw_load(lines + stride + at), lw_load(lines + 2 * stride + at),
                    lw_load(lines + 3 * stride + at), 4, v + 4 * half);
      lw_interleave(lw_load(row4 + at), lw_load(row5 + at), lw_load(row4 + next), lw_load(row5 + next), 4,
                    h + 4 * half);
    }
    uint8_t *to = output + (size_t)x * LW_QUAD;
    lw_store_pixels(to, eight_pixels(dots, f->weights[0], &out, chain), width);
    if (rows == 2) lw_store_pixels(to + (size_t)width * LW_QUAD, eight_pixels(dots, f->weights[1], &out, chain), width);
    if (x + LW_BLOCK_PIXELS >= width) return;
  }
}

// Pixels 0, 2, .. 14 (odd = 0) or 1, 3, .. 15 of a line.
LW_INLINE LW_TARGET __m256i every_other(const uint8_t *p, int odd) {
  const __m256 first = _mm256_castsi256_ps(lw_load(p)), second = _mm256_castsi256_ps(lw_load(p + 32));
  const __m256 mixed = odd ? _mm256_shuffle_ps(first, second, 0xDD) : _mm256_shuffle_ps(first, second, 0x88);
  return _mm256_permute4x64_epi64(_mm256_castps_si256(mixed), 0xD8);
}

LW_INLINE LW_TARGET void compute_s2(const lw_filter_5x5 *f, const uint8_t *lines, size_t stride, uint8_t *output,
                                    uint32_t width, int chain) {
  const lw_output_step out = f->output;
  __m256i even[6], odd[6], h[6];  // even, odd: rows 0 to 3 of those columns; h: both columns of row 4
  const __m256i *const dots[DOTS] = {even, odd, even + 1, odd + 1, even + 2, h, h + 1, h + 2};
  const __m256i none = _mm256_setzero_si256();
  for (uint32_t x = 0;; x = lw_next_block(x, width)) {
    LW_UNROLL
    for (uint32_t half = 0; half < 2; half++) {
      const uint8_t *p = lines + (2 * (size_t)x + 8 * half) * LW_QUAD;
      const uint32_t wanted = half ? 2 : 4;
      lw_interleave(every_other(p, 0), every_other(p + stride, 0), every_other(p + 2 * stride, 0),
                    every_other(p + 3 * stride, 0), wanted, even + 4 * half);
      lw_interleave(every_other(p, 1), every_other(p + stride, 1), every_other(p + 2 * stride, 1),
                    every_other(p + 3 * stride, 1), wanted, odd + 4 * half);
      lw_interleave(every_other(p + 4 * stride, 0), every_other(p + 4 * stride, 1), none, none, wanted, h + 4 * half);
    }
    lw_store_pixels(output + (size_t)x * LW_QUAD, eight_pixels(dots, f->weights[0], &out, chain), width);
    if (x + LW_BLOCK_PIXELS >= width) return;
  }
}

enum { LONG_CHAIN = 4 };

#define LW_COMPUTE(suffix, chain)                                                                                     \
  static LW_TARGET void compute_s1_##suffix(const void *filter, const uint8_t *lines, size_t stride, uint8_t *output, \
                                            uint32_t width, uint32_t rows) {                                          \
    if (rows == 2)                                                                                                    \
      compute_s1(filter, lines, stride, output, width, 2, chain);                                                     \
    else                                                                                                              \
      compute_s1(filter, lines, stride, output, width, 1, chain);                                                     \
  }                                                                                                                   \
  static LW_TARGET void compute_s2_##suffix(const void *filter, const uint8_t *lines, size_t stride, uint8_t *output, \
                                            uint32_t width, uint32_t rows) {                                          \
    (void)rows;                                                                                                       \
    compute_s2(filter, lines, stride, output, width, chain);                                                          \
  }

LW_COMPUTE(chained, LONG_CHAIN)
#ifdef LW_DOT
#define LW_CHOOSE(chained, any, filter, rows) (chained)
#else
LW_COMPUTE(any, 1)
#define LW_CHOOSE(chained, any, filter, rows) (fits_chains(filter, rows) ? (chained) : (any))

LW_INLINE LW_TARGET int fits_chains(const lw_filter_5x5 *f, int rows) {
  for (int r = 0; r < rows; r++)
    for (int g = 0; g < DOTS; g += LONG_CHAIN) {
      __m256i most = _mm256_setzero_si256(), least = most;
      for (int c = 0; c < LONG_CHAIN; c++) {
        most = _mm256_adds_epi16(most, lw_most(f->weights[r][g + c]));
        least = _mm256_adds_epi16(least, lw_least(f->weights[r][g + c]));
      }
      if (!lw_fits_i16(most, least)) return 0;
    }
  return 1;
}
#endif

LW_TARGET void LW_KERNEL_S1(const void *args) {
  const lw_depthwise_args *a = args;
  const int8_t *w = a->weights;
  lw_filter_5x5 f = {.output = lw_output_step_of(a)};
  for (int r = 0; r < 2; r++) {
    load_columns(w, r, f.weights[r]);
    for (int x = 0; x < 5; x += 2)
      f.weights[r][5 + x / 2] =
          four_taps(tap(w, 4 - r, x), tap(w, 5 - r, x), tap(w, 4 - r, x + 1), tap(w, 5 - r, x + 1));
  }
  lw_depthwise_lines(a, 2, LW_CHOOSE(compute_s1_chained, compute_s1_any, &f, 2), &f);
}

LW_TARGET void LW_KERNEL_S2(const void *args) {
  const lw_depthwise_args *a = args;
  const int8_t *w = a->weights;
  lw_filter_5x5 f = {.output = lw_output_step_of(a)};
  load_columns(w, 0, f.weights[0]);
  for (int x = 0; x < 5; x += 2)
    f.weights[0][5 + x / 2] = four_taps(tap(w, 4, x), tap(w, 4, x + 1), no_weights, no_weights);
  lw_depthwise_lines(a, 1, LW_CHOOSE(compute_s2_chained, compute_s2_any, &f, 1), &f);
}
