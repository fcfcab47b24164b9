// The block-sparse product, one text for every x86 tier. Include after a vector header (ymm.h, zmm.h) and after
//   dot(sum, q, w)                    sum[p] += the four products of pixel p's quad with the four weights
//   dot_pair(sum, q0, w0, q1, w1)     the same for two blocks whose products add up in int16 (pair_safe)
//
// A micro tile is `channels` output channels (those of one row of blocks, at most four) x `vectors` registers of
// pixels; its sums stay in registers while the row's kept blocks stream by. The functions below are inlined with
// constants for channels, vectors, sparse and pairs.
#ifndef LW_GEMM_TEMPLATE_H
#define LW_GEMM_TEMPLATE_H

#define MAX_SUMS 16    // registers of sums in a micro tile
#define MAX_VECTORS 8  // registers of pixels in a micro tile
#define LW_CACHE_BYTES 24576u  // of the first-level cache, for the tile

typedef struct {
  const uint8_t *tile;  // first line, at the micro tile's first pixel
  size_t tile_stride;
  const int8_t *weights;  // first kept block, at the first of the micro tile's channels
  size_t block_bytes;
  const uint16_t *index;  // [count], NULL when dense
  uint32_t count;         // kept blocks
} block_list;

LW_INLINE LW_TARGET const uint8_t *line_of(const block_list *b, uint32_t i, const int sparse) {
  return b->tile + (sparse ? b->index[i] : i) * b->tile_stride;
}

LW_INLINE LW_TARGET void add_block(const block_list *b, uint32_t i, lw_vector *sum, const int channels,
                                   const int vectors, const int sparse) {
  const uint8_t *line = line_of(b, i, sparse);
  const int8_t *w = b->weights + i * b->block_bytes;
#pragma GCC unroll 8
  for (int v = 0; v < vectors; v++) {
    const lw_vector q = vector_load(line + (size_t)v * sizeof(lw_vector));
#pragma GCC unroll 4
    for (int c = 0; c < channels; c++) sum[c * vectors + v] = dot(sum[c * vectors + v], q, vector_weights(w + c * 4));
  }
}

// Either the pixels' registers are loaded once and the weights pass by, or the other way round: what is fewer stays.
LW_INLINE LW_TARGET void add_block_pair(const block_list *b, uint32_t i, lw_vector *sum, const int channels,
                                        const int vectors, const int sparse) {
  const uint8_t *line0 = line_of(b, i, sparse), *line1 = line_of(b, i + 1, sparse);
  const int8_t *w0 = b->weights + i * b->block_bytes, *w1 = w0 + b->block_bytes;
  if (channels >= vectors) {
    lw_vector q0[4], q1[4];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
      q0[v] = vector_load(line0 + (size_t)v * sizeof(lw_vector));
      q1[v] = vector_load(line1 + (size_t)v * sizeof(lw_vector));
    }
#pragma GCC unroll 4
    for (int c = 0; c < channels; c++) {
      const lw_vector x0 = vector_weights(w0 + c * 4), x1 = vector_weights(w1 + c * 4);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++)
        sum[c * vectors + v] = dot_pair(sum[c * vectors + v], q0[v], x0, q1[v], x1);
    }
  } else {
    lw_vector x0[4], x1[4];
#pragma GCC unroll 4
    for (int c = 0; c < channels; c++) {
      x0[c] = vector_weights(w0 + c * 4);
      x1[c] = vector_weights(w1 + c * 4);
    }
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) {
      const lw_vector q0 = vector_load(line0 + (size_t)v * sizeof(lw_vector));
      const lw_vector q1 = vector_load(line1 + (size_t)v * sizeof(lw_vector));
#pragma GCC unroll 4
      for (int c = 0; c < channels; c++)
        sum[c * vectors + v] = dot_pair(sum[c * vectors + v], q0, x0[c], q1, x1[c]);
    }
  }
}


// One row of blocks: bias, then the kept blocks by pairs where that is exact, and singly where not.
LW_INLINE LW_TARGET void accumulate(const block_list *b, int pair_safe, const int32_t *bias /* [channels] */,
                                    lw_vector *sum /* [channels][vectors] */, const int channels, const int vectors,
                                    const int sparse) {
#pragma GCC unroll 16
  for (int s = 0; s < channels * vectors; s++) sum[s] = vector_i32(bias[s / vectors]);
  uint32_t i = 0;
  if (pair_safe)
    for (; i + 2 <= b->count; i += 2) add_block_pair(b, i, sum, channels, vectors, sparse);
  for (; i < b->count; i++) add_block(b, i, sum, channels, vectors, sparse);
}

LW_INLINE LW_TARGET void accumulate_row(const lw_gemm_args *a, uint32_t channel, uint32_t pixel, lw_vector *sum,
                                        const int channels, const int vectors, const int sparse) {
  const uint32_t row = channel / a->block_rows, first = a->row_start[row];
  block_list b;
  b.tile = a->tile + (size_t)pixel * LW_QUAD;
  b.tile_stride = a->tile_stride;
  b.block_bytes = (size_t)a->block_rows * LW_QUAD;
  b.weights = a->weights + first * b.block_bytes + channel % a->block_rows * LW_QUAD;
  b.index = sparse ? a->index + first : NULL;
  b.count = a->row_start[row + 1] - first;
  accumulate(&b, LW_PAIR_ALWAYS_SAFE || a->pair_safe[row], a->bias + channel, sum, channels, vectors, sparse);
}

LW_INLINE LW_TARGET void finish_u7(const lw_gemm_args *a, uint32_t quad, uint32_t pixel,
                                   const lw_vector *sum /* [4][vectors] */, const float *scale /* [4] */,
                                   const vector_requant *to, const int vectors) {
  uint8_t *output = a->output + quad * a->output_stride + (size_t)pixel * LW_QUAD;
#pragma GCC unroll 8
  for (int v = 0; v < vectors; v++) {
    const lw_vector c0 = vector_rounded(sum[v], scale[0]);
    const lw_vector c1 = vector_rounded(sum[vectors + v], scale[1]);
    const lw_vector c2 = vector_rounded(sum[2 * vectors + v], scale[2]);
    const lw_vector c3 = vector_rounded(sum[3 * vectors + v], scale[3]);
    vector_store(output + (size_t)v * sizeof(lw_vector), vector_quad(c0, c1, c2, c3, to));
  }
}

LW_INLINE LW_TARGET void finish_f32(const lw_gemm_args *a, uint32_t quad, uint32_t pixel,
                                    const lw_vector *sum /* [4][vectors] */, const float *scale /* [4] */,
                                    const int vectors) {
  for (uint32_t c = 0; c < LW_QUAD && quad * LW_QUAD + c < a->channels; c++) {
    float *output = a->output_f32 + (quad * LW_QUAD + c) * a->output_f32_stride + pixel;
    float all[MAX_VECTORS * LW_VECTOR_PIXELS];
    for (int v = 0; v < vectors; v++)
      vector_store_f32(all + (size_t)v * LW_VECTOR_PIXELS, vector_scaled(sum[(int)c * vectors + v], scale[c]));
    const uint32_t room = (uint32_t)vectors * LW_VECTOR_PIXELS, left = a->pixels - pixel;
    memcpy(output, all, (left < room ? left : room) * sizeof(float));
  }
}

// One output quad x one micro tile of pixels.
LW_INLINE LW_TARGET void quad_tile(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const vector_requant *to,
                                   const int channels, const int vectors, const int sparse) {
  lw_vector sum[LW_QUAD * MAX_VECTORS];  // [4][vectors]
  float scale[LW_QUAD];
  if (channels == (int)LW_QUAD) {
    accumulate_row(a, quad * LW_QUAD, pixel, sum, channels, vectors, sparse);
    memcpy(scale, a->scale + quad * LW_QUAD, sizeof scale);
  } else {
    for (uint32_t c = 0; c < LW_QUAD; c += (uint32_t)channels) {
      const uint32_t channel = quad * LW_QUAD + c;
      lw_vector part[MAX_SUMS];
      if (channel < a->channels)
        accumulate_row(a, channel, pixel, part, channels, vectors, sparse);
      else
        memset(part, 0, sizeof part);
      for (int s = 0; s < channels * vectors; s++) sum[(int)c * vectors + s] = part[s];
      for (int s = 0; s < channels; s++) scale[(int)c + s] = channel < a->channels ? a->scale[(int)channel + s] : 0.0f;
    }
  }
  if (a->output_f32)
    finish_f32(a, quad, pixel, sum, scale, vectors);
  else
    finish_u7(a, quad, pixel, sum, scale, to, vectors);
}

// Pixels whose part of the tile stays in the first-level cache while all rows of blocks pass by.
LW_INLINE uint32_t pixels_in_cache(const lw_gemm_args *a, uint32_t step) {
  const size_t line_bytes = (size_t)step * LW_QUAD * a->k4;
  const size_t steps = LW_CACHE_BYTES / line_bytes;
  return step * (steps ? (uint32_t)steps : 1u);
}

// channels: those of a row of blocks that a micro tile takes; vectors: its most registers of pixels.
LW_INLINE LW_TARGET void gemm(const lw_gemm_args *a, const int channels, const int vectors, const int sparse) {
  const vector_requant to = vector_requant_of(&a->requant);
  const uint32_t chunk = pixels_in_cache(a, (uint32_t)vectors * LW_VECTOR_PIXELS);
  for (uint32_t begin = 0; begin < a->pixels; begin += chunk) {
    const uint32_t end = a->pixels - begin < chunk ? a->pixels : begin + chunk;
    for (uint32_t quad = a->quad_begin; quad < a->quad_end; quad++) {
      uint32_t p = begin;
      while (p < end) {
        const uint32_t left = (end - p + LW_VECTOR_PIXELS - 1) / LW_VECTOR_PIXELS;
        if (vectors == 8 && left >= 8) {
          quad_tile(a, quad, p, &to, channels, 8, sparse);
          p += 8 * LW_VECTOR_PIXELS;
        } else if (vectors >= 4 && left >= 4) {
          quad_tile(a, quad, p, &to, channels, 4, sparse);
          p += 4 * LW_VECTOR_PIXELS;
        } else if (vectors >= 3 && channels == 4 && left >= 3) {
          quad_tile(a, quad, p, &to, channels, 3, sparse);
          p += 3 * LW_VECTOR_PIXELS;
        } else if (vectors >= 2 && left >= 2) {
          quad_tile(a, quad, p, &to, channels, 2, sparse);
          p += 2 * LW_VECTOR_PIXELS;
        } else {
          quad_tile(a, quad, p, &to, channels, 1, sparse);
          p += LW_VECTOR_PIXELS;
        }
      }
    }
  }
}

#endif
