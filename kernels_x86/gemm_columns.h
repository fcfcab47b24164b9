// A micro tile with a few pixels more than its vectors hold, as 7x7 and 14x14 images end in (49 = 3 * 16 + 1, and half
// of 196 in whole lines, 100 = 6 * 16 + 4): another vector for each channel would compute sixteen pixels for the sake
// of one. A column is one pixel with its channels side by side: the block's weights as they lie in memory times the
// pixel's quad, repeated. Included by gemm_template.h where LW_COLUMNS and dot_column(sum, q, w) are defined, for
// blocks of four and eight rows and sparse ones of two.
#ifndef LW_GEMM_COLUMNS_H
#define LW_GEMM_COLUMNS_H

#define MAX_COLUMNS 4

LW_TEMPLATE __m128i repeated(const uint8_t *quad /* [4] */) {
  int32_t four;
  memcpy(&four, quad, sizeof four);
  return _mm_set1_epi32(four);
}

// Four lanes, or two and zeros.
LW_TEMPLATE __m128i load_lanes(const void *p, const int lanes) {
  return lanes == 4 ? _mm_loadu_si128((const __m128i *)p) : _mm_loadl_epi64((const __m128i *)p);
}

// Sums of `channels` channels of one row of blocks, and of its columns.
LW_TEMPLATE void accumulate_columns(const lw_gemm_args *a, uint32_t channel, uint32_t pixel,
                                    lw_vector *sum /* [channels][vectors] */, __m128i *column /* [columns] */,
                                    const int rows, const int channels, const int vectors, const int columns,
                                    const int sparse) {
  const block_list b = blocks_of(a, channel, pixel, rows, sparse);
  start_sums(a, channel, sum, channels, vectors);
  LW_UNROLL(4)
  for (int c = 0; c < columns; c++) column[c] = load_lanes(a->bias + channel, channels);
  for (size_t i = 0; i < b.count; i++) {
    add_block(&b, i, sum, rows, channels, vectors, sparse);
    const uint8_t *odd = line_of(&b, i, sparse) + (size_t)vectors * sizeof(lw_vector);
    const __m128i w = load_lanes(b.weights + i * (size_t)rows * LW_QUAD, channels);
    LW_UNROLL(4)
    for (int c = 0; c < columns; c++) column[c] = dot_column(column[c], repeated(odd + c * (int)LW_QUAD), w);
  }
}

LW_TEMPLATE void finish_column(uint8_t *output /* [4] */, __m128i sum, const float *scale /* [4] */,
                               const vector_requant *to) {
  const __m128i rounded = _mm_cvtps_epi32(_mm_mul_ps(_mm_cvtepi32_ps(sum), _mm_loadu_ps(scale)));
  const __m128i words = _mm_adds_epi16(_mm_packs_epi32(rounded, rounded), _mm512_castsi512_si128(to->zero_point));
  const __m128i least = _mm512_castsi512_si128(to->clamp_min), most = _mm512_castsi512_si128(to->clamp_max);
  const int32_t four = _mm_cvtsi128_si32(_mm_min_epu8(_mm_max_epu8(_mm_packus_epi16(words, words), least), most));
  memcpy(output, &four, sizeof four);
}

// One output quad, all of whose channels exist or are padding of its row of blocks.
LW_TEMPLATE void columns_tile(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const vector_requant *to,
                              const int rows, const int vectors, const int columns, const int sparse) {
  const uint32_t channel = quad * LW_QUAD;
  lw_vector sum[LW_QUAD * 3];  // [4][vectors]
  __m128i column[MAX_COLUMNS];
  if (rows >= (int)LW_QUAD) {
    accumulate_columns(a, channel, pixel, sum, column, rows, LW_QUAD, vectors, columns, sparse);
  } else {
    __m128i high[MAX_COLUMNS];
    accumulate_columns(a, channel, pixel, sum, column, rows, 2, vectors, columns, sparse);
    accumulate_columns(a, channel + 2, pixel, sum + 2 * vectors, high, rows, 2, vectors, columns, sparse);
    LW_UNROLL(4)
    for (int c = 0; c < columns; c++) column[c] = _mm_unpacklo_epi64(column[c], high[c]);
  }
  finish_u7(a, quad, pixel, sum, a->scale + channel, to, vectors);
  uint8_t *output = a->output + quad * a->output_stride + (pixel + (uint32_t)vectors * LW_VECTOR_PIXELS) * LW_QUAD;
  LW_UNROLL(4)
  for (int c = 0; c < columns; c++, output += LW_QUAD) finish_column(output, column[c], a->scale + channel, to);
}

typedef void columns_function(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const vector_requant *to, int rows);

// Blocks of four and of eight rows share a function: their code would be the same but for a stride.
#define COLUMNS_TILE(name, rows, vectors, columns, sparse)                                                   \
  static __attribute__((noinline)) LW_TARGET void name(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, \
                                                       const vector_requant *to, int height) {               \
    (void)height;                                                                                            \
    columns_tile(a, quad, pixel, to, rows, vectors, columns, sparse);                                        \
  }
COLUMNS_TILE(sparse_two_rows_3_1, 2, 3, 1, 1)
COLUMNS_TILE(sparse_two_rows_2_4, 2, 2, MAX_COLUMNS, 1)
COLUMNS_TILE(sparse_3_1, height, 3, 1, 1)
COLUMNS_TILE(sparse_2_4, height, 2, MAX_COLUMNS, 1)
COLUMNS_TILE(dense_3_1, height, 3, 1, 0)
COLUMNS_TILE(dense_2_4, height, 2, MAX_COLUMNS, 0)

// The last `left` pixels of a row of blocks, if they are so many that columns pay. Returns whether they were. Of two
// rows of two channels the second may not exist: that quad is left to the others.
LW_TEMPLATE int odd_tile(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, uint32_t left, const vector_requant *to,
                         const int rows, const int sparse) {
  const int one = left == 3 * LW_VECTOR_PIXELS + 1;
  const int four = left > 2 * LW_VECTOR_PIXELS && left <= 2 * LW_VECTOR_PIXELS + MAX_COLUMNS;
  if (a->output_f32 != NULL || !(one || four)) return 0;
  columns_function *tile = NULL;
  if (rows >= (int)LW_QUAD)
    tile = sparse ? (one ? sparse_3_1 : sparse_2_4) : (one ? dense_3_1 : dense_2_4);
  else if (rows == 2 && sparse && quad * LW_QUAD + 2 < a->channels)
    tile = one ? sparse_two_rows_3_1 : sparse_two_rows_2_4;
  if (tile == NULL) return 0;
  tile(a, quad, pixel, to, rows);
  return 1;
}

#endif
