// Blocks of 4x4 wherever they are, two by two: their lines of pixels are zipped as they are loaded.
#include "gemm_smmla.h"

LW_TEMPLATE void add_zipped(int32x4_t *raw, const uint8_t *line0, const uint8_t *line1, pair_weights w,
                            const int vectors) {
  int8x16_t pixels0[4], pixels1[4];
  load_pixels(line0, pixels0, vectors);
  load_pixels(line1, pixels1, vectors);
  LW_UNROLL(4)
  for (int v = 0; v < vectors; v++) {
    int32x4_t *s = raw + 4 * v;
    add_products(s, zip_low(pixels0[v], pixels1[v]), zip_high(pixels0[v], pixels1[v]), w);
    if (v + 1 < vectors) LW_AFTER(pixels0[v + 1], s[2], s[3]);
  }
}

LW_TEMPLATE void add_block(int32x4_t *raw, const uint8_t *line, const int8_t *w, const int channels,
                           const int vectors) {
  (void)channels;  // four
  add_zipped(raw, line, line, zip_weights(vld1q_s8(w), vdupq_n_s8(0)), vectors);
}

LW_TEMPLATE const int8_t *add_pair(int32x4_t *raw, const uint8_t *line0, const uint8_t *line1, const int8_t *w,
                                   size_t block, const int channels, const int vectors) {
  (void)channels;
  add_zipped(raw, line0, line1, zip_weights(vld1q_s8(w), vld1q_s8(w + block)), vectors);
  return w + 2 * block;
}

#include "gemm_template.h"

LW_TARGET void lw_gemm_sparse_4x4__i8mm(const void *args) { gemm(args, 4, 4, 1); }
LW_TARGET void lw_gemm_sparse_8x4__i8mm(const void *args) { gemm(args, 8, 4, 1); }
