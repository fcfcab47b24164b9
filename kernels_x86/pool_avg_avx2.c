// Average pooling, AVX2. A window as wide as the image is one run of pixels (global pooling), eight a step; others are
// summed pixel by pixel, four channels at a time.
#include "x86.h"

void lw_avg_pool__avx2(const void *args);

LW_INLINE LW_TARGET_AVX2 __m128i load_pixel(const uint8_t *p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  return _mm_cvtepu8_epi32(_mm_cvtsi32_si128(four));
}

// Sums of `pixels` consecutive pixels, [4 channels] i32. A 16-bit lane grows by at most 2 * 255 a step.
LW_INLINE LW_TARGET_AVX2 __m128i sum_of_run(const uint8_t *p, size_t pixels) {
  const __m256i neighbours = _mm256_setr_epi8(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15,  //
                                              0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
  const __m256i ones = _mm256_set1_epi8(1);
  __m256i wide = _mm256_setzero_si256();  // [2][4 channels] i32
  while (pixels >= 8) {
    __m256i sum = _mm256_setzero_si256();  // [4 pixels][4 channels] i16
    for (int i = 0; i < 64 && pixels >= 8; i++, p += 8 * LW_QUAD, pixels -= 8) {
      const __m256i q = _mm256_loadu_si256((const __m256i *)(const void *)p);
      sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(_mm256_shuffle_epi8(q, neighbours), ones));
    }
    const __m256i by_channel = _mm256_unpacklo_epi16(sum, _mm256_unpackhi_epi64(sum, sum));
    wide = _mm256_add_epi32(wide, _mm256_madd_epi16(by_channel, _mm256_set1_epi16(1)));
  }
  __m128i total = _mm_add_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  for (; pixels > 0; p += LW_QUAD, pixels--) total = _mm_add_epi32(total, load_pixel(p));
  return total;
}

LW_INLINE LW_TARGET_AVX2 void store_average(__m128i sum, float multiplier, const lw_requant *r,
                                            uint8_t *out /* [4] */) {
  const __m128i rounded = _mm_cvtps_epi32(_mm_mul_ps(_mm_cvtepi32_ps(sum), _mm_set1_ps(multiplier)));
  const __m128i low = _mm_set1_epi32(r->clamp_min - r->zero_point), high = _mm_set1_epi32(r->clamp_max - r->zero_point);
  const __m128i value = _mm_add_epi32(_mm_min_epi32(_mm_max_epi32(rounded, low), high), _mm_set1_epi32(r->zero_point));
  const __m128i bytes = _mm_packus_epi16(_mm_packs_epi32(value, value), value);
  const int32_t four = _mm_cvtsi128_si32(bytes);
  memcpy(out, &four, sizeof four);
}

// The part of [begin, begin + length) inside [0, size).
static inline void inside(int32_t begin, uint32_t length, uint32_t size, uint32_t *first, uint32_t *end) {
  const int32_t last = begin + (int32_t)length;
  *first = begin < 0 ? 0 : (uint32_t)begin;
  *end = (uint32_t)last < size ? (uint32_t)last : size;
}

LW_TARGET_AVX2 void lw_avg_pool__avx2(const void *args) {
  const lw_pool_args *a = args;
  uint8_t *out = a->output + (size_t)a->row_begin * a->output_width * LW_QUAD;
  for (uint32_t y = a->row_begin; y < a->row_end; y++) {
    uint32_t top, bottom, left, right;
    inside((int32_t)(y * a->stride_h) - (int32_t)a->pad_top, a->kernel_h, a->height, &top, &bottom);
    for (uint32_t x = 0; x < a->output_width; x++, out += LW_QUAD) {
      inside((int32_t)(x * a->stride_w) - (int32_t)a->pad_left, a->kernel_w, a->width, &left, &right);
      const uint32_t columns = right - left, rows = bottom - top, count = rows * columns;
      const int whole = columns == a->width;  // then the rows join to one run
      __m128i sum = _mm_set1_epi32(-(int32_t)count * a->zero_point);
      for (uint32_t r = 0; r < (whole ? 1 : rows); r++)
        sum = _mm_add_epi32(
            sum, sum_of_run(a->input + ((size_t)(top + r) * a->width + left) * LW_QUAD, whole ? count : columns));
      store_average(sum, a->multipliers[a->multiplier_count == 1 ? 0 : count - 1], &a->requant, out);
    }
  }
}
