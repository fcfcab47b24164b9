// Four planes of float to one plane of quads, AVX2, eight pixels a step.
#define LW_TARGET LW_TARGET_AVX2
#include "ymm.h"

void lw_quantize__scalar(const void *args);
void lw_quantize__avx2(const void *args);

// One channel's eight values, rounded; 0 for a padding channel and for NaN.
LW_INLINE LW_TARGET __m256i rounded(const float *x, __m256 inverse_scale, __m256 *nan) {
  const __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(x), inverse_scale);
  const __m256 unordered = _mm256_cmp_ps(scaled, scaled, _CMP_UNORD_Q);
  *nan = _mm256_or_ps(*nan, unordered);
  const __m256 number = _mm256_andnot_ps(unordered, scaled);
  const __m256 bounded = _mm256_min_ps(_mm256_max_ps(number, _mm256_set1_ps(-1024.0f)), _mm256_set1_ps(1024.0f));
  return _mm256_cvtps_epi32(bounded);
}

LW_TARGET void lw_quantize__avx2(const void *args) {
  const lw_quantize_args *a = args;
  if (a->pixels < LW_VECTOR_PIXELS) {
    lw_quantize__scalar(args);
    return;
  }
  const lw_requant range = {a->zero_point, 0, (int32_t)LW_ACTIVATION_MAX};
  const vector_requant to = vector_requant_of(&range);
  const __m256 inverse_scale = _mm256_set1_ps(a->inverse_scale);
  __m256 nan = _mm256_setzero_ps();
  for (size_t p = 0;;) {
    __m256i c[LW_QUAD];
    for (uint32_t i = 0; i < LW_QUAD; i++)
      c[i] = a->channel[i] ? rounded(a->channel[i] + p, inverse_scale, &nan) : _mm256_setzero_si256();
    vector_store(a->output + p * LW_QUAD, vector_quad(c[0], c[1], c[2], c[3], &to));
    if (p + LW_VECTOR_PIXELS == a->pixels) break;
    p = p + 2 * LW_VECTOR_PIXELS <= a->pixels ? p + LW_VECTOR_PIXELS : a->pixels - LW_VECTOR_PIXELS;
  }
  if (_mm256_movemask_ps(nan)) *a->nan = 1;
}
