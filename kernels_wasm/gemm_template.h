// The block-sparse product, one text for every WebAssembly tier. Include after
//   PARTS                           registers that the sums of four pixels take while the blocks stream by
//   load_part(line, part)           the activations of that part of four pixels
//   load_weights(w)                 four weights of one output channel, for every pixel of a part
//   dot(sum, q, w)                  adds their products; or, with PAIRS defined,
//   dot_pair(sum, q0, w0, q1, w1)   two blocks that the plan paired, because their products add up in int16
//   whole_sums(sum)                 [PARTS] registers -> one: a sum per pixel
//
// A micro tile is `channels` output channels (those of one row of blocks, at most four) x `vectors` times four pixels.
// Half of the 16 vector registers of x86 hold its sums, the rest activations and weights on their way. The functions
// below are inlined with constants for channels, vectors and sparse; `rows` is one only where blocks are lower than a
// quad.
#ifndef LW_GEMM_TEMPLATE_H
#define LW_GEMM_TEMPLATE_H

#include "gemm_finish.h"

#define LW_UNROLL _Pragma("clang loop unroll(full)")

#define MAX_SUMS 8             // registers of sums in a micro tile
#define LW_CACHE_BYTES 16384u  // of the first-level cache, for the tile

typedef struct {
  const uint8_t *tile;  // first line, at the micro tile's first pixel
  size_t tile_stride;
  const int8_t *weights;  // first kept block, at the first of the micro tile's channels
  const uint16_t *index;  // [kept], NULL when dense
  uint32_t block_bytes;
} block_list;

LW_INLINE const uint8_t *line_of(const block_list *b, uint32_t i, const int sparse) {
  return b->tile + (sparse ? b->index[i] : i) * b->tile_stride;
}

#ifdef PAIRS

// Either the activations are loaded once and the weights pass by, or the other way round: what is fewer stays.
LW_INLINE void add_two(const uint8_t *line0, const int8_t *w0, const uint8_t *line1, const int8_t *w1, v128_t *sum,
                       const int channels, const int vectors) {
  if (channels >= vectors) {
    v128_t q0[MAX_VECTORS], q1[MAX_VECTORS];
    LW_UNROLL
    for (int v = 0; v < vectors; v++) {
      q0[v] = load_part(line0, v);
      q1[v] = load_part(line1, v);
    }
    LW_UNROLL
    for (int c = 0; c < channels; c++) {
      const v128_t x0 = load_weights(w0 + c * (int)LW_QUAD), x1 = load_weights(w1 + c * (int)LW_QUAD);
      LW_UNROLL
      for (int v = 0; v < vectors; v++) sum[c * vectors + v] = dot_pair(sum[c * vectors + v], q0[v], x0, q1[v], x1);
    }
  } else {
    v128_t x0[MAX_VECTORS], x1[MAX_VECTORS];
    LW_UNROLL
    for (int c = 0; c < channels; c++) {
      x0[c] = load_weights(w0 + c * (int)LW_QUAD);
      x1[c] = load_weights(w1 + c * (int)LW_QUAD);
    }
    LW_UNROLL
    for (int v = 0; v < vectors; v++) {
      const v128_t q0 = load_part(line0, v), q1 = load_part(line1, v);
      LW_UNROLL
      for (int c = 0; c < channels; c++) sum[c * vectors + v] = dot_pair(sum[c * vectors + v], q0, x0[c], q1, x1[c]);
    }
  }
}

// First the pairs; then each block in no pair, as a pair with a block of zeros. One loop for both keeps the code small.
LW_INLINE void add_row(const lw_gemm_args *a, const block_list *b, uint32_t row, v128_t *sum, const int channels,
                       const int vectors, const int sparse) {
  static const int8_t zeros[LW_QUAD * LW_QUAD];
  const uint32_t first = a->row_start[row], pairs = a->pairs[row];
  const uint16_t *order = a->order + first, *end = order + pairs, *last = a->order + a->row_start[row + 1];
  const int8_t *second = b->weights + b->block_bytes;
  uint32_t neighbour = 1;
  for (;;) {
    for (; order != end; order++) {
      const uint32_t i = *order;
      add_two(line_of(b, i, sparse), b->weights + i * b->block_bytes, line_of(b, i + neighbour, sparse),
              second + i * neighbour * b->block_bytes, sum, channels, vectors);
    }
    if (end == last) return;
    order += pairs;
    end = last;
    second = zeros;
    neighbour = 0;
  }
}

#else

LW_INLINE void add_row(const lw_gemm_args *a, const block_list *b, uint32_t row, v128_t *sum, const int channels,
                       const int vectors, const int sparse) {
  const uint32_t count = a->row_start[row + 1] - a->row_start[row];
  const int8_t *w = b->weights;
  for (uint32_t i = 0; i < count; i++, w += b->block_bytes) {
    const uint8_t *line = line_of(b, i, sparse);
    v128_t q[MAX_SUMS];
    LW_UNROLL
    for (int p = 0; p < vectors * PARTS; p++) q[p] = load_part(line, p);
    LW_UNROLL
    for (int c = 0; c < channels; c++) {
      const v128_t x = load_weights(w + c * (int)LW_QUAD);
      LW_UNROLL
      for (int p = c * vectors * PARTS; p < (c + 1) * vectors * PARTS; p++)
        sum[p] = dot(sum[p], q[p - c * vectors * PARTS], x);
    }
  }
}

#endif

// Sums of `channels` channels of one row of blocks, without the bias.
LW_INLINE void accumulate_row(const lw_gemm_args *a, uint32_t channel, uint32_t pixel,
                              v128_t *whole /* [channels][vectors] */, const uint32_t rows, const int channels,
                              const int vectors, const int sparse) {
  const uint32_t row = channel / rows, first = a->row_start[row];
  const block_list b = {.tile = a->tile + (size_t)pixel * LW_QUAD,
                        .tile_stride = a->tile_stride,
                        .weights = a->weights + ((size_t)first * rows + channel % rows) * LW_QUAD,
                        .index = sparse ? a->index + first : NULL,
                        .block_bytes = rows * LW_QUAD};
  v128_t sum[MAX_SUMS];  // [channels][vectors][PARTS]
  LW_UNROLL
  for (int s = 0; s < channels * vectors * PARTS; s++) sum[s] = wasm_i32x4_const_splat(0);
  add_row(a, &b, row, sum, channels, vectors, sparse);
  LW_UNROLL
  for (int s = 0; s < channels * vectors; s++) whole[s] = whole_sums(sum + s * PARTS);
}

// One output quad x one micro tile of pixels. Blocks lower than a quad go row by row; rows beyond the last channel do
// not exist, their channels are padding: any sum will do, at scale zero.
LW_INLINE void quad_tile(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const uint32_t rows, const int channels,
                         const int vectors, const int sparse) {
  v128_t sum[LW_QUAD * MAX_VECTORS];  // [4][vectors]
  for (uint32_t c = 0; c < LW_QUAD && quad * LW_QUAD + c < a->channels; c += (uint32_t)channels)
    accumulate_row(a, quad * LW_QUAD + c, pixel, sum + c * (uint32_t)vectors, rows, channels, vectors, sparse);
  if (a->output_f32)
    lw_gemm_finish_f32(a, quad, pixel, sum, (uint32_t)vectors);
  else
    lw_gemm_finish_u7(a, quad, pixel, sum, (uint32_t)vectors);
}

// Pixels whose part of the tile stays in the first-level cache while all rows of blocks pass by.
LW_INLINE uint32_t pixels_in_cache(const lw_gemm_args *a, uint32_t step) {
  const size_t line_bytes = (size_t)step * LW_QUAD * a->k4;
  const size_t steps = LW_CACHE_BYTES / line_bytes;
  return step * (steps ? (uint32_t)steps : 1u);
}

// rows: R of the blocks; channels: the lesser of R and 4; vectors: of the micro tiles, but the last few pixels.
LW_INLINE void gemm(const lw_gemm_args *a, const uint32_t rows, const int channels, const int vectors,
                    const int sparse) {
  const uint32_t step = (uint32_t)vectors * PIXELS, chunk = pixels_in_cache(a, step);
  for (uint32_t begin = 0; begin < a->pixels; begin += chunk) {
    const uint32_t end = a->pixels - begin < chunk ? a->pixels : begin + chunk;
    for (uint32_t quad = a->quad_begin; quad < a->quad_end; quad++) {
      uint32_t p = begin;
      for (; p + step - PIXELS < end; p += step) quad_tile(a, quad, p, rows, channels, vectors, sparse);
      for (; vectors > 1 && p < end; p += PIXELS) quad_tile(a, quad, p, rows, channels, 1, sparse);
    }
  }
}

#endif
