// Blocks of 4x8 and dense rows: kept blocks k and k + 1, k even, always meet, so that all rows want the same two lines
// of pixels zipped. A part of the tile is zipped once, and every row reads it as SMMLA takes it.
#include "gemm_smmla.h"

#define LW_ZIPPED
#define ZIPPED_BYTES 16384u  // half of a small first-level cache

// `line` holds [8 pixels][8 channels], the line behind it the next 8 pixels.
LW_TEMPLATE void add_zipped(int32x4_t *raw, const uint8_t *line, pair_weights w, const int vectors) {
  const int step = vectors < 2 ? vectors : 2;
  LW_UNROLL(2)
  for (int v = 0; v < vectors; v += step) {
    int8x16_t pixels[4];
    load_pixels(line + 32 * v, pixels, 2 * step);
    LW_UNROLL(2)
    for (int i = 0; i < step; i++) add_products(raw + 4 * (v + i), pixels[2 * i], pixels[2 * i + 1], w);
  }
}

LW_TEMPLATE void add_block(int32x4_t *raw, const uint8_t *line, const int8_t *w, const int channels,
                           const int vectors) {
  (void)channels;  // four
  add_zipped(raw, line, zip_weights(vld1q_s8(w), vdupq_n_s8(0)), vectors);
}

LW_TEMPLATE const int8_t *add_pair(int32x4_t *raw, const uint8_t *line0, const uint8_t *line1, const int8_t *w,
                                   size_t block, const int channels, const int vectors) {
  (void)channels;
  (void)line1;
  add_zipped(raw, line0, zip_weights(vld1q_s8(w), vld1q_s8(w + block)), vectors);
  return w + 2 * block;
}

#include "gemm_template.h"

// Two lines of 16 pixels -> [16 pixels][8].
LW_TEMPLATE void zip_lines(uint8_t *zipped, const uint8_t *line0, const uint8_t *line1) {
  int8x16_t pixels0[4], pixels1[4];
  load_pixels(line0, pixels0, 4);
  load_pixels(line1, pixels1, 4);
  LW_UNROLL(4)
  for (int v = 0; v < 4; v++) {
    const int8x16x2_t both = {{zip_low(pixels0[v], pixels1[v]), zip_high(pixels0[v], pixels1[v])}};
    vst1q_s8_x2((int8_t *)zipped + 32 * v, both);
  }
}

// zipped: [pixels / 16][k4 / 2][16 pixels][8], rounded up; beside an odd k4's last quads stands what no weight meets.
LW_TARGET static void zip_pixels(const lw_gemm_args *a, uint32_t begin, uint32_t end, uint8_t *zipped) {
  for (uint32_t p = begin; p < end; p += GROUP_PIXELS) {
    const uint8_t *line = a->tile + (size_t)p * LW_QUAD;
    for (uint32_t k = 0; k < a->k4; k += 2, line += 2 * a->tile_stride, zipped += 2 * LW_LINE)
      zip_lines(zipped, line, k + 1 < a->k4 ? line + a->tile_stride : line);
  }
}

// What is longer than the buffer is zipped as it is loaded.
LW_TEMPLATE void gemm_pairs(const lw_gemm_args *a, const int rows, const int sparse, lw_kernel_function otherwise) {
  uint8_t zipped[ZIPPED_BYTES] __attribute__((aligned(64)));
  const uint32_t group_bytes = (a->k4 + 1) / 2 * 2 * LW_LINE, chunk = ZIPPED_BYTES / group_bytes * GROUP_PIXELS;
  if (chunk == 0) {
    otherwise(a);
    return;
  }
  for (uint32_t begin = 0; begin < a->pixels; begin += chunk) {
    lw_gemm_args part = *a;
    part.pixels = a->pixels - begin < chunk ? a->pixels - begin : chunk;
    zip_pixels(a, begin, begin + part.pixels, zipped);
    part.tile = zipped;
    part.tile_stride = LW_LINE;
    if (a->output_f32)
      part.output_f32 += begin;
    else
      part.output += (size_t)begin * LW_QUAD;
    gemm(&part, rows, 4, sparse);
  }
}

void lw_gemm_sparse_4x4__i8mm(const void *args);
void lw_gemm_sparse_8x4__i8mm(const void *args);
void lw_gemm_dense_4x4__dotprod(const void *args);
void lw_gemm_dense_8x4__dotprod(const void *args);

LW_TARGET void lw_gemm_sparse_4x8__i8mm(const void *args) { gemm_pairs(args, 4, 1, lw_gemm_sparse_4x4__i8mm); }
LW_TARGET void lw_gemm_sparse_8x8__i8mm(const void *args) { gemm_pairs(args, 8, 1, lw_gemm_sparse_8x4__i8mm); }
LW_TARGET void lw_gemm_dense_4x4__i8mm(const void *args) { gemm_pairs(args, 4, 0, lw_gemm_dense_4x4__dotprod); }
LW_TARGET void lw_gemm_dense_8x4__i8mm(const void *args) { gemm_pairs(args, 8, 0, lw_gemm_dense_8x4__dotprod); }
