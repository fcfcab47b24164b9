// The block-sparse product, one text for every x86 tier. Include after a vector header (ymm.h, zmm.h) and after
//   dot(sum, q, w)                  sum[p] += the four products of pixel p's quad with the four weights
// and one of
//   LW_EXACT_DOT                    dot is one instruction
//   dot_pair(sum, q0, w0, q1, w1)   two blocks that the plan paired, because their products add up in int16
// and, where a vector holds so many pixels that a last one with few of them is worth its own code, gemm_columns.h.
//
// A micro tile is `channels` output channels (those of one row of blocks, at most four) x `vectors` registers of
// pixels; its sums stay in registers while the row's kept blocks stream by. The functions below are inlined with
// constants for rows, channels, vectors and sparse.
#ifndef LW_GEMM_TEMPLATE_H
#define LW_GEMM_TEMPLATE_H

// Emulated vectors are dozens of statements each: inlined and unrolled, they take a compiler half an hour.
#ifdef LW_EMULATE_SIMD
#define LW_TEMPLATE static __attribute__((noinline)) LW_TARGET
#define LW_UNROLL(n)
#else
#define LW_TEMPLATE LW_INLINE LW_TARGET
#define LW_PRAGMA(text) _Pragma(#text)
#define LW_UNROLL(n) LW_PRAGMA(GCC unroll n)
#endif

#define MAX_SUMS 16            // registers of sums in a micro tile
#define MAX_VECTORS 8          // registers of pixels in a micro tile
#define LW_CACHE_BYTES 16384u  // of the first-level cache, for the tile

// Keeps the compiler from taking a loop's base pointer apart into terms that it then adds again in every round.
#define LW_ONE_REGISTER(pointer) __asm__("" : "+r"(pointer))

typedef struct {
  const uint8_t *tile;  // first line, at the micro tile's first pixel
  size_t tile_stride;
  const int8_t *weights;  // first kept block, at the first of the micro tile's channels
  const uint16_t *index;  // [count], NULL when dense
  uint32_t count;         // kept blocks
} block_list;

LW_TEMPLATE const uint8_t *line_of(const block_list *b, size_t i, const int sparse) {
  return b->tile + (sparse ? b->index[i] : i) * b->tile_stride;
}

LW_TEMPLATE void add_block(const block_list *b, size_t i, lw_vector *sum, const int rows, const int channels,
                           const int vectors, const int sparse) {
  const uint8_t *line = line_of(b, i, sparse);
  const int8_t *w = b->weights + i * (size_t)rows * LW_QUAD;
  LW_UNROLL(8)
  for (int v = 0; v < vectors; v++) {
    const lw_vector q = vector_load(line + (size_t)v * sizeof(lw_vector));
    LW_UNROLL(4)
    for (int c = 0; c < channels; c++) sum[c * vectors + v] = dot(sum[c * vectors + v], q, vector_weights(w + c * 4));
  }
}

#ifdef LW_EXACT_DOT

// A dot product's latency wants about ten sums in flight: a micro tile with fewer keeps two of each, for even and odd
// blocks.
LW_TEMPLATE void add_blocks(const block_list *b, lw_vector *sum /* [channels][vectors] */, const int rows,
                            const int channels, const int vectors, const int sparse) {
  size_t i = 0;
  if (2 * channels * vectors <= LW_VECTOR_SUMS) {
    lw_vector odd[8];
    LW_UNROLL(8)
    for (int s = 0; s < channels * vectors; s++) odd[s] = vector_i32(0);
    for (; i + 2 <= b->count; i += 2) {
      add_block(b, i, sum, rows, channels, vectors, sparse);
      add_block(b, i + 1, odd, rows, channels, vectors, sparse);
    }
    LW_UNROLL(8)
    for (int s = 0; s < channels * vectors; s++) sum[s] = vector_add(sum[s], odd[s]);
  }
  for (; i < b->count; i++) add_block(b, i, sum, rows, channels, vectors, sparse);
}

#else

// Blocks i and i+1, where they are read and from which lines.
typedef struct {
  const int8_t *weights;
  const uint8_t *line0, *line1;
} block_pair;

LW_TEMPLATE block_pair pair_at(const block_list *b, size_t i, const int rows, const int sparse) {
  return (block_pair){b->weights + i * (size_t)rows * LW_QUAD, line_of(b, i, sparse), line_of(b, i + 1, sparse)};
}

// Either the pixels' registers are loaded once and the weights pass by, or the other way round: what is fewer stays.
LW_TEMPLATE void add_block_pair(const block_pair *p, lw_vector *sum, const int rows, const int channels,
                                const int vectors) {
  const uint8_t *line0 = p->line0, *line1 = p->line1;
  const int8_t *w0 = p->weights, *w1 = w0 + rows * (int)LW_QUAD;
  if (channels >= vectors) {
    lw_vector q0[4], q1[4];
    LW_UNROLL(4)
    for (int v = 0; v < vectors; v++) {
      q0[v] = vector_load(line0 + (size_t)v * sizeof(lw_vector));
      q1[v] = vector_load(line1 + (size_t)v * sizeof(lw_vector));
    }
    LW_UNROLL(4)
    for (int c = 0; c < channels; c++) {
      const lw_vector x0 = vector_weights(w0 + c * 4), x1 = vector_weights(w1 + c * 4);
      LW_UNROLL(4)
      for (int v = 0; v < vectors; v++) sum[c * vectors + v] = dot_pair(sum[c * vectors + v], q0[v], x0, q1[v], x1);
    }
  } else {
    lw_vector x0[4], x1[4];
    LW_UNROLL(4)
    for (int c = 0; c < channels; c++) {
      x0[c] = vector_weights(w0 + c * 4);
      x1[c] = vector_weights(w1 + c * 4);
    }
    LW_UNROLL(8)
    for (int v = 0; v < vectors; v++) {
      const lw_vector q0 = vector_load(line0 + (size_t)v * sizeof(lw_vector));
      const lw_vector q1 = vector_load(line1 + (size_t)v * sizeof(lw_vector));
      LW_UNROLL(4)
      for (int c = 0; c < channels; c++) sum[c * vectors + v] = dot_pair(sum[c * vectors + v], q0, x0[c], q1, x1[c]);
    }
  }
}

// The next pair's addresses are computed while this one multiplies: they hang on two loads in a row.
LW_TEMPLATE void add_block_pairs(const block_list *b, const uint16_t *order, uint32_t count, lw_vector *sum,
                                 const int rows, const int channels, const int vectors, const int sparse) {
  if (count == 0) return;
  block_pair pair = pair_at(b, *order, rows, sparse);
  for (const uint16_t *last = order + count - 1; order != last;) {
    const block_pair next = pair_at(b, *++order, rows, sparse);
    add_block_pair(&pair, sum, rows, channels, vectors);
    pair = next;
  }
  add_block_pair(&pair, sum, rows, channels, vectors);
}

#endif

// The kept blocks of the row that `channel` belongs to, from `channel` on.
LW_TEMPLATE block_list blocks_of(const lw_gemm_args *a, uint32_t channel, uint32_t pixel, const int rows,
                                 const int sparse) {
  const uint32_t row = channel / (uint32_t)rows, first = a->row_start[row];
  block_list b;
  b.tile = a->tile + (size_t)pixel * LW_QUAD;
  b.tile_stride = a->tile_stride;
  b.weights = a->weights + (size_t)first * (size_t)rows * LW_QUAD + channel % (uint32_t)rows * LW_QUAD;
  b.index = sparse ? a->index + first : NULL;
  b.count = a->row_start[row + 1] - first;
  LW_ONE_REGISTER(b.tile);
  LW_ONE_REGISTER(b.weights);
  LW_ONE_REGISTER(b.index);
  return b;
}

LW_TEMPLATE void start_sums(const lw_gemm_args *a, uint32_t channel, lw_vector *sum /* [channels][vectors] */,
                            const int channels, const int vectors) {
  LW_UNROLL(16)
  for (int s = 0; s < channels * vectors; s++) sum[s] = vector_i32(a->bias[channel + (uint32_t)(s / vectors)]);
}

// Sums of `channels` channels of one row of blocks.
LW_TEMPLATE void accumulate_row(const lw_gemm_args *a, uint32_t channel, uint32_t pixel,
                                lw_vector *sum /* [channels][vectors] */, const int rows, const int channels,
                                const int vectors, const int sparse) {
  const block_list b = blocks_of(a, channel, pixel, rows, sparse);
  start_sums(a, channel, sum, channels, vectors);
#ifdef LW_EXACT_DOT
  add_blocks(&b, sum, rows, channels, vectors, sparse);
#else
  const uint32_t row = channel / (uint32_t)rows, pairs = a->pairs[row];
  const uint16_t *order = a->order + a->row_start[row];
  add_block_pairs(&b, order, pairs, sum, rows, channels, vectors, sparse);
  for (uint32_t i = 2 * pairs; i < b.count; i++) add_block(&b, order[i], sum, rows, channels, vectors, sparse);
#endif
}

LW_TEMPLATE void finish_u7(const lw_gemm_args *a, uint32_t quad, uint32_t pixel,
                           const lw_vector *sum /* [4][vectors] */, const float *scale /* [4] */,
                           const vector_requant *to, const int vectors) {
  uint8_t *output = a->output + quad * a->output_stride + (size_t)pixel * LW_QUAD;
  LW_UNROLL(8)
  for (int v = 0; v < vectors; v++) {
    const lw_vector c0 = vector_rounded(sum[v], scale[0]);
    const lw_vector c1 = vector_rounded(sum[vectors + v], scale[1]);
    const lw_vector c2 = vector_rounded(sum[2 * vectors + v], scale[2]);
    const lw_vector c3 = vector_rounded(sum[3 * vectors + v], scale[3]);
    vector_store(output + (size_t)v * sizeof(lw_vector), vector_quad(c0, c1, c2, c3, to));
  }
}

LW_TEMPLATE void finish_f32(const lw_gemm_args *a, uint32_t quad, uint32_t pixel,
                            const lw_vector *sum /* [4][vectors] */, const float *scale /* [4] */, const int vectors) {
  float all[LW_QUAD * MAX_VECTORS * LW_VECTOR_PIXELS];  // [4][vectors of pixels]
  LW_UNROLL(32)
  for (int s = 0; s < (int)LW_QUAD * vectors; s++)
    vector_store_f32(all + (size_t)s * LW_VECTOR_PIXELS, vector_scaled(sum[s], scale[s / vectors]));
  const uint32_t room = (uint32_t)vectors * LW_VECTOR_PIXELS, left = a->pixels - pixel;
  for (uint32_t c = 0; c < LW_QUAD && quad * LW_QUAD + c < a->channels; c++)
    memcpy(a->output_f32 + (quad * LW_QUAD + c) * a->output_f32_stride + pixel, all + c * room,
           (left < room ? left : room) * sizeof(float));
}

// Blocks lower than a quad: row by row. Rows beyond the last channel do not exist; their channels are padding.
LW_TEMPLATE void accumulate_rows(const lw_gemm_args *a, uint32_t quad, uint32_t pixel,
                                 lw_vector *sum /* [4][vectors] */, float *scale /* [4] */, const int rows,
                                 const int vectors, const int sparse) {
  const int channels = rows;
  for (uint32_t c = 0; c < LW_QUAD; c += (uint32_t)channels) {
    const uint32_t channel = quad * LW_QUAD + c;
    lw_vector part[MAX_SUMS];  // [channels][vectors]
    if (channel < a->channels) {
      accumulate_row(a, channel, pixel, part, rows, channels, vectors, sparse);
      memcpy(scale + c, a->scale + channel, (size_t)channels * sizeof *scale);
    } else {
      LW_UNROLL(16)
      for (int s = 0; s < channels * vectors; s++) part[s] = vector_i32(0);
      memset(scale + c, 0, (size_t)channels * sizeof *scale);
    }
    LW_UNROLL(16)
    for (int s = 0; s < channels * vectors; s++) sum[(int)c * vectors + s] = part[s];
  }
}

// One output quad x one micro tile of pixels.
LW_TEMPLATE void quad_tile(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const vector_requant *to,
                           const int rows, const int vectors, const int sparse) {
  lw_vector sum[LW_QUAD * MAX_VECTORS];  // [4][vectors]
  float scale[LW_QUAD];
  if (rows >= (int)LW_QUAD) {
    accumulate_row(a, quad * LW_QUAD, pixel, sum, rows, LW_QUAD, vectors, sparse);
    memcpy(scale, a->scale + quad * LW_QUAD, sizeof scale);
  } else {
    accumulate_rows(a, quad, pixel, sum, scale, rows, vectors, sparse);
  }
  if (a->output_f32)
    finish_f32(a, quad, pixel, sum, scale, vectors);
  else
    finish_u7(a, quad, pixel, sum, scale, to, vectors);
}

#ifdef LW_COLUMNS
#include "gemm_columns.h"
#else
#define odd_tile(a, quad, pixel, left, to, rows, sparse) 0
#endif

// Pixels whose part of the tile stays in the first-level cache while all rows of blocks pass by.
LW_TEMPLATE uint32_t pixels_in_cache(const lw_gemm_args *a, uint32_t step) {
  const size_t line_bytes = (size_t)step * LW_QUAD * a->k4;
  const size_t steps = LW_CACHE_BYTES / line_bytes;
  return step * (steps ? (uint32_t)steps : 1u);
}

// rows: R of the blocks; vectors: the most registers of pixels in a micro tile.
LW_TEMPLATE void gemm(const lw_gemm_args *a, const int rows, const int vectors, const int sparse) {
  const vector_requant to = vector_requant_of(&a->requant);
  const uint32_t chunk = pixels_in_cache(a, (uint32_t)vectors * LW_VECTOR_PIXELS);
  for (uint32_t begin = 0; begin < a->pixels; begin += chunk) {
    const uint32_t end = a->pixels - begin < chunk ? a->pixels : begin + chunk;
    for (uint32_t quad = a->quad_begin; quad < a->quad_end; quad++) {
      uint32_t p = begin;
      while (p < end) {
        if (odd_tile(a, quad, p, end - p, &to, rows, sparse)) break;
        const uint32_t left = (end - p + LW_VECTOR_PIXELS - 1) / LW_VECTOR_PIXELS;
        if (vectors == 8 && left >= 8) {
          quad_tile(a, quad, p, &to, rows, 8, sparse);
          p += 8 * LW_VECTOR_PIXELS;
        } else if (vectors >= 4 && left >= 4) {
          quad_tile(a, quad, p, &to, rows, 4, sparse);
          p += 4 * LW_VECTOR_PIXELS;
        } else if (vectors >= 3 && rows >= 4 && left >= 3) {
          quad_tile(a, quad, p, &to, rows, 3, sparse);
          p += 3 * LW_VECTOR_PIXELS;
        } else if (vectors >= 2 && left >= 2) {
          quad_tile(a, quad, p, &to, rows, 2, sparse);
          p += 2 * LW_VECTOR_PIXELS;
        } else {
          quad_tile(a, quad, p, &to, rows, 1, sparse);
          p += LW_VECTOR_PIXELS;
        }
      }
    }
  }
}

#endif
