// Products for ARMv8.6 i8mm: SMMLA multiplies two pixels x eight activations with eight weights x two channels, 32
// multiply-accumulates. Eight activations are the quads of two kept blocks of a row, zipped as they are loaded.
#define LW_TARGET __attribute__((target("arch=armv8.2-a+i8mm")))
#include "gemm_blocks.h"

LW_TEMPLATE int8x16_t zip_low(int8x16_t a, int8x16_t b) {
  return vreinterpretq_s8_s32(vzip1q_s32(vreinterpretq_s32_s8(a), vreinterpretq_s32_s8(b)));
}
LW_TEMPLATE int8x16_t zip_high(int8x16_t a, int8x16_t b) {
  return vreinterpretq_s8_s32(vzip2q_s32(vreinterpretq_s32_s8(a), vreinterpretq_s32_s8(b)));
}

// raw: [vectors][pixel pairs][channel pairs], each [2 pixels][2 channels]
LW_TEMPLATE void start_sums(int32x4_t *raw, const int32_t *bias, const int channels, const int vectors) {
  LW_UNROLL(16)
  for (int s = 0; s < channels * vectors; s++) {
    const int32x2_t two = vld1_s32(bias + s % 2 * 2);
    raw[s] = vcombine_s32(two, two);
  }
}

LW_TEMPLATE void add_products(int32x4_t *raw, const uint8_t *line0, const uint8_t *line1, int8x16_t weights0,
                              int8x16_t weights1, const int vectors) {
  const int8x16_t channels01 = zip_low(weights0, weights1), channels23 = zip_high(weights0, weights1);
  int8x16_t pixels0[4], pixels1[4];
  load_pixels(line0, pixels0, vectors);
  load_pixels(line1, pixels1, vectors);
  LW_UNROLL(4)
  for (int v = 0; v < vectors; v++) {
    const int8x16_t pixels01 = zip_low(pixels0[v], pixels1[v]), pixels23 = zip_high(pixels0[v], pixels1[v]);
    int32x4_t *s = raw + 4 * v;
    s[0] = vmmlaq_s32(s[0], pixels01, channels01);
    s[1] = vmmlaq_s32(s[1], pixels01, channels23);
    s[2] = vmmlaq_s32(s[2], pixels23, channels01);
    s[3] = vmmlaq_s32(s[3], pixels23, channels23);
    if (v + 1 < vectors) LW_AFTER(pixels0[v + 1], s[2], s[3]);
  }
}

LW_TEMPLATE void add_block(int32x4_t *raw, const uint8_t *line, const int8_t *w, const int channels,
                           const int vectors) {
  (void)channels;  // four
  add_products(raw, line, line, vld1q_s8(w), vdupq_n_s8(0), vectors);
}

LW_TEMPLATE void add_pair(int32x4_t *raw, const uint8_t *line0, const uint8_t *line1, const int8_t *w, size_t block,
                          const int channels, const int vectors) {
  (void)channels;
  add_products(raw, line0, line1, vld1q_s8(w), vld1q_s8(w + block), vectors);
}

LW_TEMPLATE void gather_sums(const int32x4_t *raw, int32x4_t *sum, const int channels, const int vectors) {
  (void)channels;
  LW_UNROLL(4)
  for (int v = 0; v < vectors; v++) {
    const int32x4_t *s = raw + 4 * v;
    sum[v] = vuzp1q_s32(s[0], s[2]);
    sum[vectors + v] = vuzp2q_s32(s[0], s[2]);
    sum[2 * vectors + v] = vuzp1q_s32(s[1], s[3]);
    sum[3 * vectors + v] = vuzp2q_s32(s[1], s[3]);
  }
}

#include "gemm_template.h"

LW_TARGET void lw_gemm_sparse_4x4__i8mm(const void *args) { gemm(args, 4, 4, 1); }
LW_TARGET void lw_gemm_sparse_8x4__i8mm(const void *args) { gemm(args, 8, 4, 1); }
LW_TARGET void lw_gemm_dense_4x4__i8mm(const void *args) { gemm(args, 4, 4, 0); }
LW_TARGET void lw_gemm_dense_8x4__i8mm(const void *args) { gemm(args, 8, 4, 0); }
