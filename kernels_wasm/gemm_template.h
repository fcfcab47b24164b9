// The block-sparse product, one text for every WebAssembly tier. Include after
//   PARTS                           registers that the sums of four pixels take while the blocks stream by
//   load_part(line, part)           the activations of that part of four pixels
//   load_weights(w)                 four weights of one output channel, for every pixel of a part
//   dot(sum, q, w)                  adds their products
//   whole_sums(sum)                 [PARTS] registers -> one: a sum per pixel
// and, with PAIRS defined, dot_pair(sum, q0, w0, q1, w1): two blocks that the plan paired, because their products add
// up in int16.
//
// A micro tile is `channels` output channels (those of one row of blocks, at most four) x `vectors` times four pixels.
// Half of the 16 vector registers of x86 hold its sums, the rest activations and weights on their way. The functions
// below are inlined with constants for channels, vectors and sparse; `rows` is one only where blocks are lower than a
// quad.
#ifndef LW_GEMM_TEMPLATE_H
#define LW_GEMM_TEMPLATE_H

#include <wasm_simd128.h>

#include "lw_kernel.h"

#define LW_INLINE static inline __attribute__((always_inline))
#define LW_OUTLINE static __attribute__((noinline))
#define LW_UNROLL _Pragma("clang loop unroll(full)")
#define LW_ROLLED _Pragma("clang loop unroll(disable) vectorize(disable)")

#define PIXELS 4u              // of a register of whole sums
#define MAX_VECTORS 4          // in a micro tile
#define MAX_SUMS 8             // registers of sums in a micro tile
#define LW_CACHE_BYTES 16384u  // of the first-level cache, for the tile

typedef struct {
  const uint8_t *tile;  // first line, at the micro tile's first pixel
  size_t tile_stride;
  const int8_t *weights;  // first kept block, at the first of the micro tile's channels
  const uint16_t *index;  // [count], NULL when dense
  uint32_t count;         // kept blocks
  uint32_t block_bytes;
} block_list;

LW_INLINE const uint8_t *line_of(const block_list *b, uint32_t i, const int sparse) {
  return b->tile + (sparse ? b->index[i] : i) * b->tile_stride;
}

LW_INLINE void add_block(const block_list *b, uint32_t i, v128_t *sum, const int channels, const int vectors,
                         const int sparse) {
  const uint8_t *line = line_of(b, i, sparse);
  const int8_t *w = b->weights + i * b->block_bytes;
  v128_t q[MAX_SUMS];
  LW_UNROLL
  for (int p = 0; p < vectors * PARTS; p++) q[p] = load_part(line, p);
  LW_UNROLL
  for (int c = 0; c < channels; c++) {
    const v128_t x = load_weights(w + c * (int)LW_QUAD);
    LW_UNROLL
    for (int p = 0; p < vectors * PARTS; p++) sum[c * vectors * PARTS + p] = dot(sum[c * vectors * PARTS + p], q[p], x);
  }
}

#ifdef PAIRS

// Either the activations are loaded once and the weights pass by, or the other way round: what is fewer stays.
LW_INLINE void add_block_pair(const block_list *b, uint32_t i, v128_t *sum, const int channels, const int vectors,
                              const int sparse) {
  const uint8_t *line0 = line_of(b, i, sparse), *line1 = line_of(b, i + 1, sparse);
  const int8_t *w0 = b->weights + i * b->block_bytes, *w1 = w0 + b->block_bytes;
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

#endif

// Sums of `channels` channels of one row of blocks.
LW_INLINE void accumulate_row(const lw_gemm_args *a, uint32_t channel, uint32_t pixel,
                              v128_t *whole /* [channels][vectors] */, const uint32_t rows, const int channels,
                              const int vectors, const int sparse) {
  const uint32_t row = channel / rows, first = a->row_start[row];
  const block_list b = {.tile = a->tile + (size_t)pixel * LW_QUAD,
                        .tile_stride = a->tile_stride,
                        .weights = a->weights + ((size_t)first * rows + channel % rows) * LW_QUAD,
                        .index = sparse ? a->index + first : NULL,
                        .count = a->row_start[row + 1] - first,
                        .block_bytes = rows * LW_QUAD};
  v128_t sum[MAX_SUMS];  // [channels][vectors][PARTS]
  LW_UNROLL
  for (int s = 0; s < channels * vectors * PARTS; s++) sum[s] = wasm_i32x4_const_splat(0);
#ifdef PAIRS
  const uint16_t *order = a->order + first;
  const uint32_t pairs = a->pairs[row];
  LW_ROLLED
  for (uint32_t i = 0; i < pairs; i++) add_block_pair(&b, order[i], sum, channels, vectors, sparse);
  LW_ROLLED
  for (uint32_t i = 2 * pairs; i < b.count; i++) add_block(&b, order[i], sum, channels, vectors, sparse);
#else
  LW_ROLLED
  for (uint32_t i = 0; i < b.count; i++) add_block(&b, i, sum, channels, vectors, sparse);
#endif
  LW_UNROLL
  for (int s = 0; s < channels * vectors; s++)
    whole[s] = wasm_i32x4_add(whole_sums(sum + s * PARTS), wasm_v128_load32_splat(a->bias + channel + s / vectors));
}

typedef struct {
  v128_t least, most;   // f32: the clamps, less the zero point
  v128_t from_rounder;  // i32: what turns the bits of a rounded f32 into a u7
} requantizer;

// Adding 1.5 * 2^23 leaves no bits for a fraction: the addition itself rounds, half to even, and the low bits of the
// result are the integer. The product is clamped first, which cannot change a result: the bounds are integers.
#define ROUNDER 12582912.0f
#define ROUNDER_BITS 0x4B400000

LW_INLINE requantizer requantizer_of(const lw_requant *r) {
  return (requantizer){wasm_f32x4_splat((float)(r->clamp_min - r->zero_point)),
                       wasm_f32x4_splat((float)(r->clamp_max - r->zero_point)),
                       wasm_i32x4_splat(r->zero_point - ROUNDER_BITS)};
}

LW_INLINE v128_t scaled(v128_t sum, v128_t scale) { return wasm_f32x4_mul(wasm_f32x4_convert_i32x4(sum), scale); }

// [4 pixels] i32 of one channel -> [4 pixels] u7 in 32 bits.
LW_INLINE v128_t requantize(v128_t sum, v128_t scale, const requantizer *to) {
  const v128_t clamped = wasm_f32x4_pmin(to->most, wasm_f32x4_pmax(to->least, scaled(sum, scale)));
  return wasm_i32x4_add(wasm_f32x4_add(clamped, wasm_f32x4_const_splat(ROUNDER)), to->from_rounder);
}

// What is left to do with the sums of one output quad in a micro tile; apart, because there is one for all tiles.
LW_OUTLINE void finish_u7(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const v128_t *sum /* [4][vectors] */,
                          const v128_t *scale /* [4] */, const requantizer *to, uint32_t vectors) {
  uint8_t *output = a->output + quad * a->output_stride + (size_t)pixel * LW_QUAD;
  LW_ROLLED
  for (uint32_t v = 0; v < vectors; v++) {
    const v128_t c0 = requantize(sum[v], scale[0], to);
    const v128_t c1 = wasm_i32x4_shl(requantize(sum[vectors + v], scale[1], to), 8);
    const v128_t c2 = wasm_i32x4_shl(requantize(sum[2 * vectors + v], scale[2], to), 16);
    const v128_t c3 = wasm_i32x4_shl(requantize(sum[3 * vectors + v], scale[3], to), 24);
    wasm_v128_store(output + (size_t)v * sizeof(v128_t), wasm_v128_or(wasm_v128_or(c0, c1), wasm_v128_or(c2, c3)));
  }
}

LW_OUTLINE void finish_f32(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const v128_t *sum /* [4][vectors] */,
                           const v128_t *scale /* [4] */, uint32_t vectors) {
  const uint32_t left = a->pixels - pixel, room = vectors * PIXELS, count = left < room ? left : room;
  for (uint32_t c = 0; c < LW_QUAD && quad * LW_QUAD + c < a->channels; c++) {
    float all[MAX_VECTORS * PIXELS];
    LW_ROLLED
    for (uint32_t v = 0; v < vectors; v++) wasm_v128_store(all + v * PIXELS, scaled(sum[c * vectors + v], scale[c]));
    float *output = a->output_f32 + (quad * LW_QUAD + c) * a->output_f32_stride + pixel;
    LW_ROLLED
    for (uint32_t p = 0; p < count; p++) output[p] = all[p];
  }
}

// One output quad x one micro tile of pixels. Blocks lower than a quad go row by row; rows beyond the last channel do
// not exist, their channels are padding: any sum will do, at scale zero.
LW_INLINE void quad_tile(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const requantizer *to,
                         const uint32_t rows, const int channels, const int vectors, const int sparse) {
  v128_t sum[LW_QUAD * MAX_VECTORS];  // [4][vectors]
  v128_t scale[LW_QUAD];
  LW_ROLLED
  for (uint32_t c = 0; c < LW_QUAD; c += (uint32_t)channels) {
    const uint32_t channel = quad * LW_QUAD + c;
    if (channels == (int)LW_QUAD || channel < a->channels)
      accumulate_row(a, channel, pixel, sum + c * (uint32_t)vectors, rows, channels, vectors, sparse);
    else
      for (int s = 0; s < channels * vectors; s++) sum[(int)c * vectors + s] = wasm_i32x4_const_splat(0);
  }
  const uint32_t rows_end = (a->channels + rows - 1) / rows * rows;  // channels that have a scale
  LW_UNROLL
  for (uint32_t c = 0; c < LW_QUAD; c++) {
    const uint32_t channel = quad * LW_QUAD + c;
    scale[c] = channel < rows_end ? wasm_v128_load32_splat(a->scale + channel) : wasm_i32x4_const_splat(0);
  }
  if (a->output_f32)
    finish_f32(a, quad, pixel, sum, scale, (uint32_t)vectors);
  else
    finish_u7(a, quad, pixel, sum, scale, to, (uint32_t)vectors);
}

// Pixels whose part of the tile stays in the first-level cache while all rows of blocks pass by.
LW_INLINE uint32_t pixels_in_cache(const lw_gemm_args *a, uint32_t step) {
  const size_t line_bytes = (size_t)step * LW_QUAD * a->k4;
  const size_t steps = LW_CACHE_BYTES / line_bytes;
  return step * (steps ? (uint32_t)steps : 1u);
}

// rows: R of the blocks; channels: the lesser of R and 4; vectors: the most in a micro tile.
LW_INLINE void gemm(const lw_gemm_args *a, const uint32_t rows, const int channels, const int vectors,
                    const int sparse) {
  const requantizer to = requantizer_of(&a->requant);
  const uint32_t chunk = pixels_in_cache(a, (uint32_t)vectors * PIXELS);
  for (uint32_t begin = 0; begin < a->pixels; begin += chunk) {
    const uint32_t end = a->pixels - begin < chunk ? a->pixels : begin + chunk;
    for (uint32_t quad = a->quad_begin; quad < a->quad_end; quad++) {
      uint32_t p = begin;
      for (; vectors == 4 && p + 3 * PIXELS < end; p += 4 * PIXELS)
        quad_tile(a, quad, p, &to, rows, channels, 4, sparse);
      for (; vectors >= 2 && p + PIXELS < end; p += 2 * PIXELS) quad_tile(a, quad, p, &to, rows, channels, 2, sparse);
      for (; p < end; p += PIXELS) quad_tile(a, quad, p, &to, rows, channels, 1, sparse);
    }
  }
}

#endif
