// Look-up in a table of 128 bytes, AVX2: eight 16-byte shuffles by the low four bits of the index, then three rounds of
// selection by bits 4, 5 and 6. 19 operations per 32 bytes; four tables, one per channel of a quad, cost four times
// that.
#include "x86.h"

void lw_table__avx2(const void *args);

enum { STEP = 32, SLICES = 8, TABLE = 128 };  // bytes

typedef struct {
  __m256i slice[SLICES];  // [2][16] u8
} table_slices;

LW_INLINE LW_TARGET_AVX2 table_slices load_table(const uint8_t *table /* [128] */) {
  table_slices t;
  for (int i = 0; i < SLICES; i++)
    t.slice[i] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(table + 16 * i)));
  return t;
}

LW_INLINE LW_TARGET_AVX2 __m256i look_up(const table_slices *t, __m256i q) {
  const __m256i bit4 = _mm256_slli_epi16(q, 3), bit5 = _mm256_slli_epi16(q, 2), bit6 = _mm256_slli_epi16(q, 1);
  __m256i half[4];
  for (int i = 0; i < 4; i++)
    half[i] =
        _mm256_blendv_epi8(_mm256_shuffle_epi8(t->slice[2 * i], q), _mm256_shuffle_epi8(t->slice[2 * i + 1], q), bit4);
  const __m256i low = _mm256_blendv_epi8(half[0], half[1], bit5), high = _mm256_blendv_epi8(half[2], half[3], bit5);
  return _mm256_blendv_epi8(low, high, bit6);
}

// Padding pixels may hold what another tensor left there; the mask keeps to the table as the reference does.
LW_INLINE LW_TARGET_AVX2 __m256i load_index(const uint8_t *p) {
  return _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(const void *)p), _mm256_set1_epi8(127));
}

LW_INLINE LW_TARGET_AVX2 void one_table(const table_slices *t, const uint8_t *from, uint8_t *to) {
  _mm256_storeu_si256((__m256i *)(void *)to, look_up(t, load_index(from)));
}

LW_INLINE LW_TARGET_AVX2 void four_tables(const table_slices *t /* [4] */, const uint8_t *from, uint8_t *to) {
  const __m256i q = load_index(from);
  const __m256i odd = _mm256_set1_epi16((int16_t)0xFF00);
  const __m256i c01 = _mm256_blendv_epi8(look_up(&t[0], q), look_up(&t[1], q), odd);
  const __m256i c23 = _mm256_blendv_epi8(look_up(&t[2], q), look_up(&t[3], q), odd);
  _mm256_storeu_si256((__m256i *)(void *)to, _mm256_blend_epi16(c01, c23, 0xAA));
}

LW_TARGET_AVX2 void lw_table__avx2(const void *args) {
  const lw_table_args *a = args;
  const int tables = a->per_channel ? (int)LW_QUAD : 1;
  table_slices t[LW_QUAD];
  for (int c = 0; c < tables; c++) t[c] = load_table(a->table + c * TABLE);
  size_t i = 0;
  if (a->per_channel)
    for (; i + STEP <= a->count; i += STEP) four_tables(t, a->input + i, a->output + i);
  else
    for (; i + STEP <= a->count; i += STEP) one_table(t, a->input + i, a->output + i);
  if (i == a->count) return;
  uint8_t from[STEP] = {0}, to[STEP];
  memcpy(from, a->input + i, a->count - i);
  if (a->per_channel)
    four_tables(t, from, to);
  else
    one_table(t, from, to);
  memcpy(a->output + i, to, a->count - i);
}
