// The block-sparse product, one text for every WebAssembly tier. Include after
//   pixels                             a type: the activations of four pixels, ready to be multiplied
//   weights                            a type: four weights of one output channel, for every pixel
//   load_pixels(line), load_weights(w)
//   loop_constant()                    what the products want kept in a register, their k
//   dot(sum, q, w, k)                  adds the products, a sum per pixel; and, with PAIRS defined,
//   dot_pair(sum, q0, w0, q1, w1, k)   two blocks that the plan paired, because their products add up in int16
//
// A micro tile is `channels` output channels (those of one row of blocks, at most four) x `vectors` times four pixels.
// Half of the 16 vector registers of x86 hold its sums, the rest activations and weights on their way. The functions
// below are inlined with constants for channels, vectors and sparse.
#ifndef LW_GEMM_TEMPLATE_H
#define LW_GEMM_TEMPLATE_H

#include "gemm_finish.h"

#define LW_UNROLL _Pragma("clang loop unroll(full)")

#define MAX_SUMS 8             // registers of sums in a micro tile
#define LW_CACHE_BYTES 16384u  // of the first-level cache, for the tile

// The kept blocks of one row of blocks, as far as a list of at most four of its channels is concerned.
typedef struct {
  const int8_t *weights;  // first kept block, at the first of the channels
  const uint16_t *index;  // [kept], NULL when dense
  uint32_t kept, block_bytes;
#ifdef PAIRS
  const uint16_t *order;  // [kept]
  uint32_t pairs;
#endif
} block_list;

LW_INLINE block_list blocks_of(const lw_gemm_args *a, uint32_t channel, const uint32_t rows, const int sparse) {
  const uint32_t row = channel / rows, first = a->row_start[row];
  return (block_list){.weights = a->weights + ((size_t)first * rows + channel % rows) * LW_QUAD,
                      .index = sparse ? a->index + first : NULL,
                      .kept = a->row_start[row + 1] - first,
                      .block_bytes = rows * LW_QUAD,
#ifdef PAIRS
                      .order = a->order + first,
                      .pairs = a->pairs[row]
#endif
  };
}

typedef struct {
  const uint8_t *tile;  // first line, at the micro tile's first pixel
  size_t stride;        // bytes
} tile_lines;

LW_INLINE const uint8_t *line_of(const tile_lines *lines, const block_list *b, uint32_t i, const int sparse) {
  return lines->tile + (sparse ? b->index[i] : i) * lines->stride;
}

#ifdef PAIRS

// Either the activations are loaded once and the weights pass by, or the other way round: what is fewer stays.
LW_INLINE void add_two(const uint8_t *line0, const int8_t *w0, const uint8_t *line1, const int8_t *w1, v128_t *sum,
                       const int channels, const int vectors, v128_t k) {
  if (channels >= vectors) {
    pixels q0[MAX_VECTORS], q1[MAX_VECTORS];
    LW_UNROLL
    for (int v = 0; v < vectors; v++) {
      q0[v] = load_pixels(line0 + v * 16);
      q1[v] = load_pixels(line1 + v * 16);
    }
    LW_UNROLL
    for (int c = 0; c < channels; c++) {
      const weights x0 = load_weights(w0 + c * (int)LW_QUAD), x1 = load_weights(w1 + c * (int)LW_QUAD);
      LW_UNROLL
      for (int v = 0; v < vectors; v++) sum[c * vectors + v] = dot_pair(sum[c * vectors + v], q0[v], x0, q1[v], x1, k);
    }
  } else {
    weights x0[MAX_VECTORS], x1[MAX_VECTORS];
    LW_UNROLL
    for (int c = 0; c < channels; c++) {
      x0[c] = load_weights(w0 + c * (int)LW_QUAD);
      x1[c] = load_weights(w1 + c * (int)LW_QUAD);
    }
    LW_UNROLL
    for (int v = 0; v < vectors; v++) {
      const pixels q0 = load_pixels(line0 + v * 16), q1 = load_pixels(line1 + v * 16);
      LW_UNROLL
      for (int c = 0; c < channels; c++) sum[c * vectors + v] = dot_pair(sum[c * vectors + v], q0, x0[c], q1, x1[c], k);
    }
  }
}

#endif

LW_INLINE void add_one(const uint8_t *line, const int8_t *w, v128_t *sum, const int channels, const int vectors,
                       v128_t k) {
  pixels q[MAX_VECTORS];
  LW_UNROLL
  for (int v = 0; v < vectors; v++) q[v] = load_pixels(line + v * 16);
  LW_UNROLL
  for (int c = 0; c < channels; c++) {
    const weights x = load_weights(w + c * (int)LW_QUAD);
    LW_UNROLL
    for (int v = 0; v < vectors; v++) sum[c * vectors + v] = dot(sum[c * vectors + v], q[v], x, k);
  }
}

// The loops keep few values alive: a compiler in a browser has ten general registers for them.
LW_INLINE void add_blocks(const tile_lines *lines, const block_list *b, v128_t *sum, const int channels,
                          const int vectors, const int sparse) {
  const v128_t k = loop_constant();
#ifdef PAIRS
  const uint16_t *order = b->order, *end = order + b->pairs;
  for (; order != end; order++) {
    const uint32_t i = *order;
    const int8_t *w = b->weights + i * b->block_bytes;
    add_two(line_of(lines, b, i, sparse), w, line_of(lines, b, i + 1, sparse), w + b->block_bytes, sum, channels,
            vectors, k);
  }
  order += b->pairs;
  for (end = b->order + b->kept; order != end; order++)
    add_one(line_of(lines, b, *order, sparse), b->weights + *order * b->block_bytes, sum, channels, vectors, k);
#else
  const int8_t *w = b->weights;
  for (uint32_t i = 0; i < b->kept; i++, w += b->block_bytes)
    add_one(line_of(lines, b, i, sparse), w, sum, channels, vectors, k);
#endif
}

// On the way the sums are where nothing can alias them.
LW_INLINE void accumulate(const tile_lines *lines, const block_list *b, const v128_t *bias /* [channels] */,
                          v128_t *result /* [channels][vectors] */, const int channels, const int vectors,
                          const int sparse) {
  v128_t sum[MAX_SUMS];
  LW_UNROLL
  for (int s = 0; s < channels * vectors; s++) sum[s] = bias[s / vectors];
  add_blocks(lines, b, sum, channels, vectors, sparse);
  LW_UNROLL
  for (int s = 0; s < channels * vectors; s++) result[s] = sum[s];
}

// One output quad of a tile: its blocks and what its sums still lack. Blocks lower than a quad are in several rows;
// rows beyond the last channel do not exist, their channels are padding: any sum will do, at scale zero.
typedef struct {
  block_list lists[LW_QUAD];  // [4 / channels]
  quad_constants constants;
} quad_plan;

LW_INLINE void plan_quad(const lw_gemm_args *a, uint32_t quad, quad_plan *plan, const uint32_t rows, const int channels,
                         const int sparse) {
  lw_gemm_constants(a, quad, &plan->constants);
  for (uint32_t c = 0; c < LW_QUAD && quad * LW_QUAD + c < a->channels; c += (uint32_t)channels)
    plan->lists[c / (uint32_t)channels] = blocks_of(a, quad * LW_QUAD + c, rows, sparse);
}

// One output quad x one micro tile of pixels.
LW_INLINE void quad_tile(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const quad_plan *plan,
                         const sum_requantizer *to, const int channels, const int vectors, const int sparse) {
  const tile_lines lines = {a->tile + (size_t)pixel * LW_QUAD, a->tile_stride};
  v128_t sum[LW_QUAD * MAX_VECTORS];  // [4][vectors]
  for (uint32_t c = 0; c < LW_QUAD && quad * LW_QUAD + c < a->channels; c += (uint32_t)channels)
    accumulate(&lines, &plan->lists[c / (uint32_t)channels], plan->constants.bias + c, sum + c * (uint32_t)vectors,
               channels, vectors, sparse);
  if (a->output_f32)
    lw_gemm_finish_f32(a, quad, pixel, sum, &plan->constants, (uint32_t)vectors);
  else
    lw_gemm_finish_u7(a->output + quad * a->output_stride + (size_t)pixel * LW_QUAD, sum, &plan->constants, to,
                      (uint32_t)vectors);
}

// The same for blocks of four channels or more and u7: nothing takes the address of the sums, they stay in registers to
// the end.
LW_INLINE void whole_quad_tile(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const quad_plan *plan,
                               const sum_requantizer *to, const int vectors, const int sparse) {
  const tile_lines lines = {a->tile + (size_t)pixel * LW_QUAD, a->tile_stride};
  v128_t sum[MAX_SUMS];  // [4][vectors]
  accumulate(&lines, plan->lists, plan->constants.bias, sum, LW_QUAD, vectors, sparse);
  uint8_t *output = a->output + quad * a->output_stride + (size_t)pixel * LW_QUAD;
  v128_t bytes[MAX_VECTORS];  // all before the first is stored: a store of bytes could alter the constants
  LW_UNROLL
  for (int v = 0; v < vectors; v++) bytes[v] = requantized_quad(sum + v, vectors, &plan->constants, to);
  LW_UNROLL
  for (int v = 0; v < vectors; v++) wasm_v128_store(output + v * 16, bytes[v]);
}

// Pixels whose part of the tile stays in the first-level cache while all rows of blocks pass by.
LW_INLINE uint32_t pixels_in_cache(const lw_gemm_args *a, uint32_t step) {
  const size_t line_bytes = (size_t)step * LW_QUAD * a->k4;
  const size_t steps = LW_CACHE_BYTES / line_bytes;
  return step * (steps ? (uint32_t)steps : 1u);
}

// rows: R of the blocks; channels: at most R and 4; vectors: of the micro tiles, but the last few pixels; whole: u7,
// and four channels.
LW_INLINE void gemm_tiles(const lw_gemm_args *a, const uint32_t rows, const int channels, const int vectors,
                          const int sparse, const int whole) {
  const sum_requantizer to = sum_requantizer_of(&a->requant);
  const uint32_t step = (uint32_t)vectors * PIXELS, chunk = pixels_in_cache(a, step);
  for (uint32_t begin = 0; begin < a->pixels; begin += chunk) {
    const uint32_t end = a->pixels - begin < chunk ? a->pixels : begin + chunk;
    for (uint32_t quad = a->quad_begin; quad < a->quad_end; quad++) {
      quad_plan plan;
      plan_quad(a, quad, &plan, rows, channels, sparse);
      uint32_t p = begin;
      for (; p + step - PIXELS < end; p += step)
        whole ? whole_quad_tile(a, quad, p, &plan, &to, vectors, sparse)
              : quad_tile(a, quad, p, &plan, &to, channels, vectors, sparse);
      for (; vectors > 1 && p < end; p += PIXELS)
        whole ? whole_quad_tile(a, quad, p, &plan, &to, 1, sparse)
              : quad_tile(a, quad, p, &plan, &to, channels, 1, sparse);
    }
  }
}

LW_INLINE void gemm(const lw_gemm_args *a, const uint32_t rows, const int channels, const int vectors,
                    const int sparse) {
  gemm_tiles(a, rows, channels, vectors, sparse, 0);
}

// Channel by channel, whatever the blocks: for what is rare, f32 results and dense blocks lower than a quad.
static __attribute__((noinline)) void gemm_by_channels(const lw_gemm_args *a) {
  gemm(a, a->block_rows, 1, MAX_VECTORS, a->index != NULL);
}

// Blocks of four and of eight channels differ in nothing but where the weights lie.
static __attribute__((noinline)) void sparse_quads(const lw_gemm_args *a) {
  a->output_f32 ? gemm_by_channels(a) : gemm_tiles(a, a->block_rows, LW_QUAD, 2, 1, 1);
}
static __attribute__((noinline)) void dense_quads(const lw_gemm_args *a) {
  a->output_f32 ? gemm_by_channels(a) : gemm_tiles(a, a->block_rows, LW_QUAD, 2, 0, 1);
}

// The kernels of a tier.
#define GEMM_KERNELS(tier)                                                      \
  void lw_gemm_sparse_1x4__##tier(const void *args) { gemm(args, 1, 1, 4, 1); } \
  void lw_gemm_sparse_2x4__##tier(const void *args) { gemm(args, 2, 2, 4, 1); } \
  void lw_gemm_sparse_4x4__##tier(const void *args) { sparse_quads(args); }     \
  void lw_gemm_sparse_8x4__##tier(const void *args) { sparse_quads(args); }     \
  void lw_gemm_dense_1x4__##tier(const void *args) { gemm_by_channels(args); }  \
  void lw_gemm_dense_2x4__##tier(const void *args) { gemm_by_channels(args); }  \
  void lw_gemm_dense_4x4__##tier(const void *args) { dense_quads(args); }       \
  void lw_gemm_dense_8x4__##tier(const void *args) { dense_quads(args); }

#endif
