// Sixteen pixels of one quad in a 512-bit register. Include after defining LW_TARGET.
#ifndef LW_ZMM_H
#define LW_ZMM_H

#include "x86.h"

#define LW_VECTOR_PIXELS 16u
#define LW_VECTOR_SUMS 16   // registers that a loop can hold sums in
typedef __m512i lw_vector;  // [16 pixels][4 channels] 8-bit, or [16 pixels] i32

LW_INLINE LW_TARGET lw_vector vector_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
LW_INLINE LW_TARGET void vector_store(uint8_t *p, lw_vector v) { _mm512_storeu_si512(p, v); }
LW_INLINE LW_TARGET void vector_store_f32(float *p, __m512 v) { _mm512_storeu_ps(p, v); }
LW_INLINE LW_TARGET lw_vector vector_add(lw_vector a, lw_vector b) { return _mm512_add_epi32(a, b); }
LW_INLINE LW_TARGET lw_vector vector_i32(int32_t x) { return _mm512_set1_epi32(x); }

// The four weights of one output channel, for every pixel.
LW_INLINE LW_TARGET lw_vector vector_weights(const int8_t *w /* [4] */) {
  int32_t four;
  memcpy(&four, w, sizeof four);
  return _mm512_set1_epi32(four);
}

LW_INLINE LW_TARGET __m512 vector_scaled(lw_vector sum, float scale) {
  return _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(scale));
}
LW_INLINE LW_TARGET lw_vector vector_rounded(lw_vector sum, float scale) {
  return _mm512_cvtps_epi32(vector_scaled(sum, scale));
}

typedef struct {
  lw_vector zero_point, clamp_min, clamp_max;
} vector_requant;

LW_INLINE LW_TARGET vector_requant vector_requant_of(const lw_requant *r) {
  return (vector_requant){_mm512_set1_epi16((int16_t)r->zero_point), _mm512_set1_epi8((int8_t)r->clamp_min),
                          _mm512_set1_epi8((int8_t)r->clamp_max)};
}

// Four channels of rounded i32 -> [16 pixels][4] u7. Saturation on the way cannot change what the clamp leaves.
LW_INLINE LW_TARGET lw_vector vector_quad(lw_vector c0, lw_vector c1, lw_vector c2, lw_vector c3,
                                          const vector_requant *r) {
  const lw_vector even = _mm512_adds_epi16(_mm512_packs_epi32(c0, c2), r->zero_point);
  const lw_vector odd = _mm512_adds_epi16(_mm512_packs_epi32(c1, c3), r->zero_point);
  lw_vector bytes = _mm512_packus_epi16(even, odd);  // of each 128-bit quarter: [c0, c2, c1, c3][4 pixels]
  bytes = _mm512_min_epu8(_mm512_max_epu8(bytes, r->clamp_min), r->clamp_max);
  const __m128i transpose = _mm_setr_epi8(0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15);
  return _mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(transpose));
}

#endif
