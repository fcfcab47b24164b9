// A micro tile with a few pixels more than its vectors hold, as 7x7 and 14x14 images end in (49 = 3 * 16 + 1; half of
// 196 = 6 * 16 + 2): another vector for each channel would compute sixteen pixels for the sake of one. A column is one
// pixel with its four channels side by side: the block's weights as they lie in memory times the pixel's quad,
// repeated. Included by gemm_template.h where dot_column(sum, q, w) is defined, for blocks of four rows and more.
#ifndef LW_GEMM_COLUMNS_H
#define LW_GEMM_COLUMNS_H

#define MAX_COLUMNS 4

LW_TEMPLATE __m128i repeated(const uint8_t *quad /* [4] */) {
  int32_t four;
  memcpy(&four, quad, sizeof four);
  return _mm_set1_epi32(four);
}

LW_TEMPLATE void add_columns(const block_list *b, size_t i, __m128i *column /* [columns] */, const int rows,
                             const int vectors, const int columns, const int sparse) {
  const uint8_t *pixel = line_of(b, i, sparse) + (size_t)vectors * sizeof(lw_vector);
  const __m128i w = _mm_loadu_si128((const __m128i *)(const void *)(b->weights + i * (size_t)rows * LW_QUAD));
  LW_UNROLL(4)
  for (int c = 0; c < columns; c++) column[c] = dot_column(column[c], repeated(pixel + c * (int)LW_QUAD), w);
}

LW_TEMPLATE void finish_column(uint8_t *output /* [4] */, __m128i sum, const float *scale /* [4] */,
                               const vector_requant *to) {
  const __m128i rounded = _mm_cvtps_epi32(_mm_mul_ps(_mm_cvtepi32_ps(sum), _mm_loadu_ps(scale)));
  const __m128i words = _mm_adds_epi16(_mm_packs_epi32(rounded, rounded), _mm512_castsi512_si128(to->zero_point));
  const __m128i least = _mm512_castsi512_si128(to->clamp_min), most = _mm512_castsi512_si128(to->clamp_max);
  const int32_t four = _mm_cvtsi128_si32(_mm_min_epu8(_mm_max_epu8(_mm_packus_epi16(words, words), least), most));
  memcpy(output, &four, sizeof four);
}

LW_TEMPLATE void columns_tile(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const vector_requant *to,
                              const int rows, const int vectors, const int columns, const int sparse) {
  const uint32_t channel = quad * LW_QUAD;
  const block_list b = blocks_of(a, channel, pixel, rows, sparse);
  lw_vector sum[LW_QUAD * 3];  // [4][vectors]
  start_sums(a, channel, sum, LW_QUAD, vectors);
  __m128i column[MAX_COLUMNS];
  LW_UNROLL(4)
  for (int c = 0; c < columns; c++) column[c] = _mm_loadu_si128((const __m128i *)(const void *)(a->bias + channel));
  for (size_t i = 0; i < b.count; i++) {
    add_block(&b, i, sum, rows, LW_QUAD, vectors, sparse);
    add_columns(&b, i, column, rows, vectors, columns, sparse);
  }
  finish_u7(a, quad, pixel, sum, a->scale + channel, to, vectors);
  uint8_t *output = a->output + quad * a->output_stride + (pixel + (uint32_t)vectors * LW_VECTOR_PIXELS) * LW_QUAD;
  LW_UNROLL(4)
  for (int c = 0; c < columns; c++, output += LW_QUAD) finish_column(output, column[c], a->scale + channel, to);
}

// One function for all heights of blocks: their code would be the same but for a stride.
#define COLUMNS_TILE(name, vectors, columns, sparse)                                                         \
  static __attribute__((noinline)) LW_TARGET void name(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, \
                                                       const vector_requant *to, int rows) {                 \
    columns_tile(a, quad, pixel, to, rows, vectors, columns, sparse);                                        \
  }
COLUMNS_TILE(sparse_three_and_one, 3, 1, 1)
COLUMNS_TILE(sparse_two_and_four, 2, MAX_COLUMNS, 1)
COLUMNS_TILE(dense_three_and_one, 3, 1, 0)
COLUMNS_TILE(dense_two_and_four, 2, MAX_COLUMNS, 0)

// The last `left` pixels of a row of blocks, if they are so many that columns pay. Returns whether they were.
LW_TEMPLATE int odd_tile(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, uint32_t left, const vector_requant *to,
                         const int rows, const int sparse) {
  if (rows < (int)LW_QUAD || a->output_f32 != NULL) return 0;
  if (left == 3 * LW_VECTOR_PIXELS + 1)
    (sparse ? sparse_three_and_one : dense_three_and_one)(a, quad, pixel, to, rows);
  else if (left > 2 * LW_VECTOR_PIXELS && left <= 2 * LW_VECTOR_PIXELS + MAX_COLUMNS)
    (sparse ? sparse_two_and_four : dense_two_and_four)(a, quad, pixel, to, rows);
  else
    return 0;
  return 1;
}

#endif
