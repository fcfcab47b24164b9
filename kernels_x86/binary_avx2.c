// Residual add and product, AVX2, 32 bytes a step.
//
// A byte q under the bits of 2^23 is the float 2^23 + q, and subtracting 2^23 + z leaves q - z exactly: two unpacks and
// a subtraction instead of widening, subtracting and converting. Unpacks and packs undo each other's order.
#include "x86.h"

void lw_add__avx2(const void *args);
void lw_mul__avx2(const void *args);

enum { STEP = 32 };  // bytes

typedef struct {
  __m256i zero_point, low, high;  // i8; the clamp before the zero point is added, -127..127
} output_bytes;

LW_INLINE LW_TARGET_AVX2 output_bytes output_bytes_of(const lw_requant *r) {
  return (output_bytes){_mm256_set1_epi8((int8_t)r->zero_point),
                        _mm256_set1_epi8((int8_t)(r->clamp_min - r->zero_point)),
                        _mm256_set1_epi8((int8_t)(r->clamp_max - r->zero_point))};
}

LW_INLINE LW_TARGET_AVX2 __m256i load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }

// Rounds [4][8] floats and brings them to u7; values in the order of unpack.
LW_INLINE LW_TARGET_AVX2 void store_rounded(uint8_t *to, const __m256 v[4], const output_bytes *o) {
  const __m256i low = _mm256_packs_epi32(_mm256_cvtps_epi32(v[0]), _mm256_cvtps_epi32(v[1]));
  const __m256i high = _mm256_packs_epi32(_mm256_cvtps_epi32(v[2]), _mm256_cvtps_epi32(v[3]));
  const __m256i bytes = _mm256_min_epi8(_mm256_max_epi8(_mm256_packs_epi16(low, high), o->low), o->high);
  _mm256_storeu_si256((__m256i *)(void *)to, _mm256_add_epi8(bytes, o->zero_point));
}

// (q - zero_point) * multiplier of 32 bytes; based_zero = 2^23 + zero point.
LW_INLINE LW_TARGET_AVX2 void real_values(__m256i q, __m256 based_zero, __m256 multiplier, __m256 real[4]) {
  const __m256i base = _mm256_set1_epi16(0x4B00), none = _mm256_setzero_si256();
  const __m256i low = _mm256_unpacklo_epi8(q, none), high = _mm256_unpackhi_epi8(q, none);
  const __m256i based[4] = {_mm256_unpacklo_epi16(low, base), _mm256_unpackhi_epi16(low, base),
                            _mm256_unpacklo_epi16(high, base), _mm256_unpackhi_epi16(high, base)};
  for (int i = 0; i < 4; i++)
    real[i] = _mm256_mul_ps(_mm256_sub_ps(_mm256_castsi256_ps(based[i]), based_zero), multiplier);
}

LW_INLINE LW_TARGET_AVX2 void add_step(const lw_binary_args *a, const uint8_t *left, const uint8_t *right,
                                       uint8_t *to) {
  const output_bytes out = output_bytes_of(&a->requant);
  __m256 x[4], y[4];
  real_values(load(left), _mm256_set1_ps(0x1p+23f + (float)a->zero_point_a), _mm256_set1_ps(a->multiplier_a), x);
  real_values(load(right), _mm256_set1_ps(0x1p+23f + (float)a->zero_point_b), _mm256_set1_ps(a->multiplier_b), y);
  for (int i = 0; i < 4; i++) x[i] = _mm256_add_ps(x[i], y[i]);
  store_rounded(to, x, &out);
}

// Products of two differences stay within 127 * 127, so low and high halves of 16-bit products join to exact i32.
LW_INLINE LW_TARGET_AVX2 void mul_step(const lw_binary_args *a, const uint8_t *left, __m256i right, uint8_t *to) {
  const output_bytes out = output_bytes_of(&a->requant);
  const __m256i none = _mm256_setzero_si256(), q = load(left);
  const __m256i za = _mm256_set1_epi16((int16_t)a->zero_point_a), zb = _mm256_set1_epi16((int16_t)a->zero_point_b);
  const __m256 multiplier = _mm256_set1_ps(a->multiplier_a);
  const __m256i x[2] = {_mm256_sub_epi16(_mm256_unpacklo_epi8(q, none), za),
                        _mm256_sub_epi16(_mm256_unpackhi_epi8(q, none), za)};
  const __m256i y[2] = {_mm256_sub_epi16(_mm256_unpacklo_epi8(right, none), zb),
                        _mm256_sub_epi16(_mm256_unpackhi_epi8(right, none), zb)};
  __m256 scaled[4];
  for (int i = 0; i < 2; i++) {
    const __m256i low = _mm256_mullo_epi16(x[i], y[i]), high = _mm256_mulhi_epi16(x[i], y[i]);
    scaled[2 * i] = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_unpacklo_epi16(low, high)), multiplier);
    scaled[2 * i + 1] = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_unpackhi_epi16(low, high)), multiplier);
  }
  store_rounded(to, scaled, &out);
}

LW_TARGET_AVX2 void lw_add__avx2(const void *args) {
  const lw_binary_args *a = args;
  size_t i = 0;
  for (; i + STEP <= a->count; i += STEP) add_step(a, a->a + i, a->b + i, a->output + i);
  if (i == a->count) return;
  uint8_t left[STEP] = {0}, right[STEP] = {0}, to[STEP];
  memcpy(left, a->a + i, a->count - i);
  memcpy(right, a->b + i, a->count - i);
  add_step(a, left, right, to);
  memcpy(a->output + i, to, a->count - i);
}

LW_TARGET_AVX2 void lw_mul__avx2(const void *args) {
  const lw_binary_args *a = args;
  int32_t quad = 0;
  if (a->b_quad) memcpy(&quad, a->b, sizeof quad);
  const __m256i repeated = _mm256_set1_epi32(quad);
  size_t i = 0;
  for (; i + STEP <= a->count; i += STEP) mul_step(a, a->a + i, a->b_quad ? repeated : load(a->b + i), a->output + i);
  if (i == a->count) return;
  uint8_t left[STEP] = {0}, right[STEP] = {0}, to[STEP];
  memcpy(left, a->a + i, a->count - i);
  if (!a->b_quad) memcpy(right, a->b + i, a->count - i);
  mul_step(a, left, a->b_quad ? repeated : load(right), to);
  memcpy(a->output + i, to, a->count - i);
}
