// One pixel (fully connected) for AVX2: weights are the vector operand, straight from memory, which bounds the speed;
// each register of weights meets a register of activations with the same quads in the same lanes.
//
// A register holds eight lanes of four weights: eight blocks of R = 1, four of R = 2, two of R = 4, one of R = 8. The
// sums' lane l belongs to output channel l mod R of the row of blocks.
#include "x86.h"

#define LW_TARGET LW_TARGET_AVX2
#define LANES 8u

LW_INLINE LW_TARGET __m256i load_vector(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }

LW_INLINE LW_TARGET __m256i dot_lanes(__m256i sum, __m256i q, __m256i w) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(q, w), _mm256_set1_epi16(1)));
}

LW_INLINE int32_t quad_of(const uint8_t *tile, size_t k) {
  int32_t quad;
  memcpy(&quad, tile + k * LW_QUAD, sizeof quad);
  return quad;
}

// Activations for the 8/R blocks from block i on, each quad repeated R times; k counts along K4.
LW_INLINE LW_TARGET __m256i dense_lanes(const uint8_t *tile, size_t i, const uint32_t rows) {
  const uint8_t *q = tile + i * LW_QUAD;
  if (rows == 1) return load_vector(q);
  if (rows == 2) {
    const __m128i four = _mm_loadu_si128((const __m128i *)(const void *)q);
    return _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(four), _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
  }
  if (rows == 4) {
    int64_t two;
    memcpy(&two, q, sizeof two);
    return _mm256_permutevar8x32_epi32(_mm256_set1_epi64x(two), _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
  }
  return _mm256_set1_epi32(quad_of(tile, i));
}

LW_INLINE LW_TARGET __m256i sparse_lanes(const uint8_t *tile, const uint16_t *k, const uint32_t rows) {
  if (rows == 8) return _mm256_set1_epi32(quad_of(tile, k[0]));
  if (rows == 4)
    return _mm256_blend_epi32(_mm256_set1_epi32(quad_of(tile, k[0])), _mm256_set1_epi32(quad_of(tile, k[1])), 0xF0);
  // Loads and inserts: vpgatherdd takes four times as long on the machines of this tier.
  const __m128i low =
      _mm_setr_epi32(quad_of(tile, k[0]), quad_of(tile, k[1]), quad_of(tile, k[2]), quad_of(tile, k[3]));
  if (rows == 2)
    return _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(low), _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
  const __m128i high =
      _mm_setr_epi32(quad_of(tile, k[4]), quad_of(tile, k[5]), quad_of(tile, k[6]), quad_of(tile, k[7]));
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

// Sums of one row of blocks, by lane.
LW_INLINE LW_TARGET void row_sums(const lw_gemm_args *a, uint32_t row, int32_t *lanes /* [8] */, const uint32_t rows,
                                  const int sparse) {
  const uint32_t first = a->row_start[row], count = a->row_start[row + 1] - first, step = LANES / rows;
  const int8_t *w = a->weights + (size_t)first * rows * LW_QUAD;
  const uint16_t *index = sparse ? a->index + first : NULL;
  __m256i sum0 = _mm256_setzero_si256(), sum1 = sum0;
  uint32_t i = 0;
  for (; i + 2 * step <= count; i += 2 * step, w += 2 * sizeof(__m256i)) {
    const uint32_t j = i + step;
    const __m256i q0 = sparse ? sparse_lanes(a->tile, index + i, rows) : dense_lanes(a->tile, i, rows);
    const __m256i q1 = sparse ? sparse_lanes(a->tile, index + j, rows) : dense_lanes(a->tile, j, rows);
    sum0 = dot_lanes(sum0, q0, load_vector(w));
    sum1 = dot_lanes(sum1, q1, load_vector(w + sizeof(__m256i)));
  }
  for (; i + step <= count; i += step, w += sizeof(__m256i))
    sum0 = dot_lanes(sum0, sparse ? sparse_lanes(a->tile, index + i, rows) : dense_lanes(a->tile, i, rows),
                     load_vector(w));
  _mm256_storeu_si256((__m256i *)(void *)lanes, _mm256_add_epi32(sum0, sum1));
  for (; i < count; i++, w += rows * LW_QUAD) {
    const uint8_t *q = a->tile + (sparse ? index[i] : i) * (size_t)LW_QUAD;
    for (uint32_t r = 0; r < rows; r++)
      for (uint32_t c = 0; c < LW_QUAD; c++) lanes[r] += q[c] * w[r * LW_QUAD + c];
  }
}

LW_INLINE LW_TARGET void finish_quad(const lw_gemm_args *a, uint32_t quad, const int32_t *sum /* [4] */,
                                     const float *scale /* [4] */) {
  const __m128i sums = _mm_loadu_si128((const __m128i *)(const void *)sum);
  const __m128 scaled = _mm_mul_ps(_mm_cvtepi32_ps(sums), _mm_loadu_ps(scale));
  if (a->output_f32) {
    float four[LW_QUAD];
    _mm_storeu_ps(four, scaled);
    for (uint32_t c = 0; c < LW_QUAD && quad * LW_QUAD + c < a->channels; c++)
      a->output_f32[(quad * LW_QUAD + c) * a->output_f32_stride] = four[c];
    return;
  }
  const __m128i words = _mm_packs_epi32(_mm_cvtps_epi32(scaled), _mm_setzero_si128());
  __m128i bytes = _mm_adds_epi16(words, _mm_set1_epi16((int16_t)a->requant.zero_point));
  bytes = _mm_packus_epi16(bytes, bytes);
  bytes = _mm_max_epu8(bytes, _mm_set1_epi8((int8_t)a->requant.clamp_min));
  bytes = _mm_min_epu8(bytes, _mm_set1_epi8((int8_t)a->requant.clamp_max));
  const int32_t four = _mm_cvtsi128_si32(bytes);
  memcpy(a->output + quad * a->output_stride, &four, sizeof four);
}

// Sums and scales of one row of blocks into the quads it covers; a channel beyond the last row keeps zeros.
LW_INLINE LW_TARGET void add_row(const lw_gemm_args *a, uint32_t channel, int32_t *sum /* [R] */,
                                 float *scale /* [R] */, const uint32_t rows, const int sparse) {
  int32_t lanes[LANES];
  row_sums(a, channel / rows, lanes, rows, sparse);
  memcpy(sum, a->bias + channel, rows * sizeof *sum);
  memcpy(scale, a->scale + channel, rows * sizeof *scale);
  for (uint32_t l = 0; l < LANES; l++) sum[l % rows] += lanes[l];
}

LW_INLINE LW_TARGET void gemv(const lw_gemm_args *a, const uint32_t rows, const int sparse) {
  const uint32_t unit = rows < LW_QUAD ? LW_QUAD : rows, end = a->quad_end * LW_QUAD;
  for (uint32_t channel = a->quad_begin * LW_QUAD; channel < end; channel += unit) {
    int32_t sum[LANES] = {0};
    float scale[LANES] = {0};
    for (uint32_t c = 0; c < unit && channel + c < a->channels; c += rows)
      add_row(a, channel + c, sum + c, scale + c, rows, sparse);
    for (uint32_t c = 0; c < unit && channel + c < end; c += LW_QUAD)
      finish_quad(a, (channel + c) / LW_QUAD, sum + c, scale + c);
  }
}

LW_TARGET void lw_gemv_sparse_1x4__avx2(const void *args) { gemv(args, 1, 1); }
LW_TARGET void lw_gemv_sparse_2x4__avx2(const void *args) { gemv(args, 2, 1); }
LW_TARGET void lw_gemv_sparse_4x4__avx2(const void *args) { gemv(args, 4, 1); }
LW_TARGET void lw_gemv_sparse_8x4__avx2(const void *args) { gemv(args, 8, 1); }
LW_TARGET void lw_gemv_dense_1x4__avx2(const void *args) { gemv(args, 1, 0); }
LW_TARGET void lw_gemv_dense_2x4__avx2(const void *args) { gemv(args, 2, 0); }
LW_TARGET void lw_gemv_dense_4x4__avx2(const void *args) { gemv(args, 4, 0); }
LW_TARGET void lw_gemv_dense_8x4__avx2(const void *args) { gemv(args, 8, 0); }
