// Depthwise 3x3, stride 1, two output rows at a time: input rows 0, 2, 1, 3 are interleaved once in this order, and
// each output row sees them through its own weights, (w0, w2, w1, 0) and (0, w1, w0, w2). So the middle row of weights,
// mostly the heaviest, shares its i16 lane with no other. Include after defining
//   LW_TARGET      the function attribute
//   LW_DOT(s,u,w)  s + the four-tap dot products, where the machine has one; else undefined
//   LW_KERNEL      the name of the kernel
#include "depthwise.h"

typedef enum {
  LW_CHAIN_NONE,   // every column of taps is widened by itself
  LW_CHAIN_OUTER,  // columns 0 and 2 add up in i16
  LW_CHAIN_ALL     // all three do
} lw_chain;

typedef struct {
  __m256i weights[2][3];  // [output row][column of taps], each [2][4 channels][4 input rows] i8
  lw_output_step output;
} lw_filter_3x3;

// Weights of the first output row from the [9][4] i8 of the file.
LW_INLINE LW_TARGET void load_weights(const int8_t *w, __m256i first[3]) {
  const __m128i row0 = _mm_loadu_si128((const __m128i *)(const void *)w);
  const __m128i row1 = _mm_loadu_si128((const __m128i *)(const void *)(w + 12));
  const __m128i row2 = _mm_srli_si128(_mm_loadu_si128((const __m128i *)(const void *)(w + 20)), 4);
  const __m128i none = _mm_setzero_si128();
  const __m128i low02 = _mm_unpacklo_epi8(row0, row2), high02 = _mm_unpackhi_epi8(row0, row2);
  const __m128i low1 = _mm_unpacklo_epi8(row1, none), high1 = _mm_unpackhi_epi8(row1, none);
  first[0] = _mm256_broadcastsi128_si256(_mm_unpacklo_epi16(low02, low1));
  first[1] = _mm256_broadcastsi128_si256(_mm_unpackhi_epi16(low02, low1));
  first[2] = _mm256_broadcastsi128_si256(_mm_unpacklo_epi16(high02, high1));
}

LW_INLINE LW_TARGET __m256i dot_3(const __m256i *v /* [3] */, const __m256i *w /* [3] */, __m256i bias,
                                  lw_chain chain) {
#ifdef LW_DOT
  (void)chain;
  return LW_DOT(LW_DOT(LW_DOT(bias, v[0], w[0]), v[1], w[1]), v[2], w[2]);
#else
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i outer0 = _mm256_maddubs_epi16(v[0], w[0]), outer2 = _mm256_maddubs_epi16(v[2], w[2]);
  const __m256i inner = _mm256_maddubs_epi16(v[1], w[1]);
  if (chain == LW_CHAIN_ALL) {
    const __m256i all = _mm256_add_epi16(_mm256_add_epi16(outer0, outer2), inner);
    return _mm256_add_epi32(_mm256_madd_epi16(all, ones), bias);
  }
  const __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(inner, ones), bias);
  if (chain == LW_CHAIN_OUTER) return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_add_epi16(outer0, outer2), ones));
  return _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_madd_epi16(outer0, ones), _mm256_madd_epi16(outer2, ones)));
#endif
}

// One output row of eight pixels.
LW_INLINE LW_TARGET __m256i pixels_of_row(const __m256i *v /* [6] */, const __m256i *w /* [3] */,
                                          const lw_output_step *out, lw_chain chain) {
  return lw_requantized(dot_3(v, w, out->bias, chain), dot_3(v + 1, w, out->bias, chain),
                        dot_3(v + 2, w, out->bias, chain), dot_3(v + 3, w, out->bias, chain), out);
}

LW_INLINE LW_TARGET void compute_rows(const void *filter, const uint8_t *lines, size_t line_stride, uint8_t *output,
                                      uint32_t output_width, uint32_t rows, lw_chain chain) {
  const lw_filter_3x3 *f = filter;
  const lw_output_step out = f->output;
  const uint8_t *last = lines + (rows == 2 ? 3 : 2) * line_stride;  // the weights ignore row 3 of a single output row
  for (uint32_t x = 0;; x = lw_next_block(x, output_width)) {
    const size_t at = (size_t)x * LW_QUAD;
    const uint8_t *row0 = lines + at, *row1 = row0 + line_stride, *row2 = row1 + line_stride, *row3 = last + at;
    __m256i v[6];  // pixels i and i + 4
    lw_interleave(lw_load(row0), lw_load(row2), lw_load(row1), lw_load(row3), 4, v);
    lw_interleave(lw_load(row0 + 16), lw_load(row2 + 16), lw_load(row1 + 16), lw_load(row3 + 16), 2, v + 4);
    lw_store_pixels(output + at, pixels_of_row(v, f->weights[0], &out, chain), output_width);
    if (rows == 2)
      lw_store_pixels(output + (size_t)output_width * LW_QUAD + at, pixels_of_row(v, f->weights[1], &out, chain),
                      output_width);
    if (x + LW_BLOCK_PIXELS >= output_width) return;
  }
}

#define LW_COMPUTE(name, chain)                                                                             \
  static LW_TARGET void name(const void *filter, const uint8_t *lines, size_t line_stride, uint8_t *output, \
                             uint32_t output_width, uint32_t rows) {                                        \
    if (rows == 2)                                                                                          \
      compute_rows(filter, lines, line_stride, output, output_width, 2, chain);                             \
    else                                                                                                    \
      compute_rows(filter, lines, line_stride, output, output_width, 1, chain);                             \
  }

LW_COMPUTE(compute_safe, LW_CHAIN_ALL)
#ifndef LW_DOT
LW_COMPUTE(compute_outer, LW_CHAIN_OUTER)
LW_COMPUTE(compute_any, LW_CHAIN_NONE)

// The second output row has the same sums in the other lanes, so the first row's weights decide for both.
LW_INLINE LW_TARGET lw_line_rows choose_chain(const __m256i w[3]) {
  const __m256i most = _mm256_adds_epi16(lw_most(w[0]), lw_most(w[2]));
  const __m256i least = _mm256_adds_epi16(lw_least(w[0]), lw_least(w[2]));
  if (!lw_fits_i16(most, least)) return compute_any;
  const int all = lw_fits_i16(_mm256_adds_epi16(most, lw_most(w[1])), _mm256_adds_epi16(least, lw_least(w[1])));
  return all ? compute_safe : compute_outer;
}
#endif

LW_TARGET void LW_KERNEL(const void *args) {
  const lw_depthwise_args *a = args;
  lw_filter_3x3 f;
  load_weights(a->weights, f.weights[0]);
  const __m256i order = _mm256_set1_epi32(0x01000203);  // of each channel's weights: (w0, w2, w1, 0) to (0, w1, w0, w2)
  const __m256i channels =
      _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0C0C0C0C, 0, 0x04040404, 0x08080808, 0x0C0C0C0C);
  for (int i = 0; i < 3; i++) f.weights[1][i] = _mm256_shuffle_epi8(f.weights[0][i], _mm256_or_si256(order, channels));
  f.output = lw_output_step_of(a);
#ifdef LW_DOT
  lw_depthwise_lines(a, 2, compute_safe, &f);
#else
  lw_depthwise_lines(a, 2, choose_chain(f.weights[0]), &f);
#endif
}
