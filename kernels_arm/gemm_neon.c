// Products for every 64-bit ARM: SMULL multiplies bytes into int16, SMLAL adds the products of a second block to them,
// SADALP adds neighbours into int32. Two products fit: activations and weights are at most 127 in magnitude, and
// 2 * 127 * 127 < 2^15. Floor: 32 multiply-accumulates take four multiplications and two SADALP, and a Cortex-A72
// multiplies once a cycle: 8 a cycle.
#define LW_TARGET
#include "gemm_blocks.h"

// The weights of one channel, for every pixel; of up to four channels.
LW_TEMPLATE void load_weights(const int8_t *w /* [channels][4] */, int8x16_t *weights /* [channels] */,
                              const int channels) {
  const int32_t *words = (const int32_t *)(const void *)w;
  if (channels == 4) {
    const int32x4x4_t four = vld4q_dup_s32(words);
    for (int c = 0; c < 4; c++) weights[c] = vreinterpretq_s8_s32(four.val[c]);
  } else if (channels == 2) {
    const int32x4x2_t two = vld2q_dup_s32(words);
    for (int c = 0; c < 2; c++) weights[c] = vreinterpretq_s8_s32(two.val[c]);
  } else {
    weights[0] = vreinterpretq_s8_s32(vld1q_dup_s32(words));
  }
}

// raw: [channels][vectors][2]: sums of weights 0 and 1, 2 and 3 of pixels 0 and 1, then of pixels 2 and 3.
LW_TEMPLATE void start_sums(int32x4_t *raw, const int32_t *bias, const int channels, const int vectors) {
  LW_UNROLL(16)
  for (int s = 0; s < 2 * channels * vectors; s++)
    raw[s] = vreinterpretq_s32_u64(vdupq_n_u64((uint32_t)bias[s / (2 * vectors)]));
}

LW_TEMPLATE void add_block(int32x4_t *raw, const uint8_t *line, const int8_t *w, const int channels,
                           const int vectors) {
  int8x16_t weights[4];
  load_weights(w, weights, channels);
  LW_UNROLL(8)
  for (int v = 0; v < vectors; v++) {
    const int8x16_t pixels = vld1q_s8((const int8_t *)line + v * 16);
    LW_UNROLL(4)
    for (int c = 0; c < channels; c++) {
      int32x4_t *s = raw + 2 * (c * vectors + v);
      s[0] = vpadalq_s16(s[0], vmull_s8(vget_low_s8(pixels), vget_low_s8(weights[c])));
      s[1] = vpadalq_s16(s[1], vmull_high_s8(pixels, weights[c]));
    }
  }
}

// `step` registers of pixels with one channel, four products in flight: an in-order core waits for each.
LW_TEMPLATE void add_channel(int32x4_t *s /* [step][2] */, const int8x16_t *pixels0, const int8x16_t *pixels1,
                             int8x16_t weights0, int8x16_t weights1, const int step) {
  int16x8_t low[2], high[2];
  LW_UNROLL(2)
  for (int p = 0; p < step; p++) {
    low[p] = vmull_s8(vget_low_s8(pixels0[p]), vget_low_s8(weights0));
    high[p] = vmull_high_s8(pixels0[p], weights0);
  }
  LW_UNROLL(2)
  for (int p = 0; p < step; p++) {
    low[p] = vmlal_s8(low[p], vget_low_s8(pixels1[p]), vget_low_s8(weights1));
    high[p] = vmlal_high_s8(high[p], pixels1[p], weights1);
  }
  LW_UNROLL(2)
  for (int p = 0; p < step; p++) {
    s[2 * p] = vpadalq_s16(s[2 * p], low[p]);
    s[2 * p + 1] = vpadalq_s16(s[2 * p + 1], high[p]);
  }
}

LW_TEMPLATE const int8_t *add_pair(int32x4_t *raw, const uint8_t *line0, const uint8_t *line1, const int8_t *w,
                                   size_t block, const int channels, const int vectors) {
  const int step = vectors < 2 ? vectors : 2;
  int8x16_t weights0[4], weights1[4];
  load_weights(w, weights0, channels);
  w += block;
  LW_STEPPED(w);
  load_weights(w, weights1, channels);
  LW_UNROLL(8)
  for (int v = 0; v < vectors; v += step) {
    int8x16_t pixels0[2], pixels1[2];
    load_pixels(line0 + v * 16, pixels0, step);
    load_pixels(line1 + v * 16, pixels1, step);
    LW_UNROLL(4)
    for (int c = 0; c < channels; c++) {
      int32x4_t *s = raw + 2 * (c * vectors + v);
      add_channel(s, pixels0, pixels1, weights0[c], weights1[c], step);
      if (c + 1 < channels) LW_AFTER(weights0[c + 1], s[0], s[2 * step - 1]);
      if (c + 1 < channels) LW_AFTER(weights1[c + 1], s[1], s[2 * step - 2]);
    }
  }
  return w + block;
}

LW_TEMPLATE void gather_sums(const int32x4_t *raw, int32x4_t *sum, const int channels, const int vectors) {
  LW_UNROLL(16)
  for (int s = 0; s < channels * vectors; s++) sum[s] = vpaddq_s32(raw[2 * s], raw[2 * s + 1]);
}

#include "gemm_template.h"

LW_TARGET void lw_gemm_sparse_1x4__neon(const void *args) { gemm(args, 1, 8, 1); }
LW_TARGET void lw_gemm_sparse_2x4__neon(const void *args) { gemm(args, 2, 4, 1); }
LW_TARGET void lw_gemm_sparse_4x4__neon(const void *args) { gemm(args, 4, 2, 1); }
LW_TARGET void lw_gemm_sparse_8x4__neon(const void *args) { gemm(args, 8, 2, 1); }
LW_TARGET void lw_gemm_dense_1x4__neon(const void *args) { gemm(args, 1, 8, 0); }
LW_TARGET void lw_gemm_dense_2x4__neon(const void *args) { gemm(args, 2, 4, 0); }
LW_TARGET void lw_gemm_dense_4x4__neon(const void *args) { gemm(args, 4, 2, 0); }
LW_TARGET void lw_gemm_dense_8x4__neon(const void *args) { gemm(args, 8, 2, 0); }
