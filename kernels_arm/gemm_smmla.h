// Products for ARMv8.6 i8mm: SMMLA multiplies two pixels x eight activations with eight weights x two channels, 32
// multiply-accumulates. Eight activations of a pixel are the quads of two kept blocks side by side.
#ifndef LW_GEMM_SMMLA_H
#define LW_GEMM_SMMLA_H

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

// The weights of two blocks, as SMMLA takes them.
typedef struct {
  int8x16_t channels01, channels23;
} pair_weights;

LW_TEMPLATE pair_weights zip_weights(int8x16_t weights0, int8x16_t weights1) {
  return (pair_weights){zip_low(weights0, weights1), zip_high(weights0, weights1)};
}

LW_TEMPLATE void add_products(int32x4_t *s /* [2][2] */, int8x16_t pixels01, int8x16_t pixels23, pair_weights w) {
  s[0] = vmmlaq_s32(s[0], pixels01, w.channels01);
  s[1] = vmmlaq_s32(s[1], pixels01, w.channels23);
  s[2] = vmmlaq_s32(s[2], pixels23, w.channels01);
  s[3] = vmmlaq_s32(s[3], pixels23, w.channels23);
}

LW_TEMPLATE void gather_sums(const int32x4_t *raw, int32x4_t *sum, const int channels, const int vectors) {
  (void)channels;  // four
  LW_UNROLL(4)
  for (int v = 0; v < vectors; v++) {
    const int32x4_t *s = raw + 4 * v;
    sum[v] = vuzp1q_s32(s[0], s[2]);
    sum[vectors + v] = vuzp2q_s32(s[0], s[2]);
    sum[2 * vectors + v] = vuzp1q_s32(s[1], s[3]);
    sum[3 * vectors + v] = vuzp2q_s32(s[1], s[3]);
  }
}

#endif
