// Products for ARMv8.2 dotprod: SDOT adds the four products of four pixels' quads with the four weights of one channel.
// Floor: 16 multiply-accumulates an instruction; 16 of them share one load of pixels and one of weights.
#define LW_TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#include "gemm_blocks.h"

// The weights of up to four channels, one in each lane.
LW_TEMPLATE int8x16_t load_weights(const int8_t *w /* [channels][4] */, const int channels) {
  if (channels == 4) return vld1q_s8(w);
  if (channels == 2) return vcombine_s8(vld1_s8(w), vdup_n_s8(0));
  int32_t four;
  __builtin_memcpy(&four, w, sizeof four);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

LW_TEMPLATE int32x4_t dot(int32x4_t sum, int8x16_t pixels, int8x16_t weights, const int channel) {
  if (channel == 0) return vdotq_laneq_s32(sum, pixels, weights, 0);
  if (channel == 1) return vdotq_laneq_s32(sum, pixels, weights, 1);
  if (channel == 2) return vdotq_laneq_s32(sum, pixels, weights, 2);
  return vdotq_laneq_s32(sum, pixels, weights, 3);
}

LW_TEMPLATE void start_sums(int32x4_t *raw /* [channels][vectors] */, const int32_t *bias, const int channels,
                            const int vectors) {
  LW_UNROLL(16)
  for (int s = 0; s < channels * vectors; s++) raw[s] = vdupq_n_s32(bias[s / vectors]);
}

// The channels' weights lie in lanes `lane` and on.
LW_TEMPLATE void add_products(int32x4_t *raw, const uint8_t *line, int8x16_t weights, const int lane,
                              const int channels, const int vectors) {
  const int step = vectors < 4 ? vectors : 4;
  LW_UNROLL(4)
  for (int v = 0; v < vectors; v += step) {
    int8x16_t pixels[4];
    load_pixels(line + v * 16, pixels, step);
    LW_UNROLL(16)
    for (int k = 0; k < channels * step; k++) {
      const int c = k / step, p = k % step;
      raw[c * vectors + v + p] = dot(raw[c * vectors + v + p], pixels[p], weights, lane + c);
    }
  }
}

LW_TEMPLATE void add_block(int32x4_t *raw, const uint8_t *line, const int8_t *w, const int channels,
                           const int vectors) {
  add_products(raw, line, load_weights(w, channels), 0, channels, vectors);
}

// One load takes the weights of both where they fit a register.
LW_TEMPLATE const int8_t *add_pair(int32x4_t *raw, const uint8_t *line0, const uint8_t *line1, const int8_t *w,
                                   size_t block, const int channels, const int vectors) {
  const int8x16_t first = load_weights(w, channels < 4 ? 2 * channels : channels);
  const int8x16_t second = channels < 4 ? first : load_weights(w + block, channels);
  add_products(raw, line0, first, 0, channels, vectors);
  add_products(raw, line1, second, channels % 4, channels, vectors);
  return w + 2 * block;
}

LW_TEMPLATE void gather_sums(const int32x4_t *raw, int32x4_t *sum, const int channels, const int vectors) {
  LW_UNROLL(16)
  for (int s = 0; s < channels * vectors; s++) sum[s] = raw[s];
}

#include "gemm_template.h"

LW_TARGET void lw_gemm_sparse_1x4__dotprod(const void *args) { gemm(args, 1, 16, 1); }
LW_TARGET void lw_gemm_sparse_2x4__dotprod(const void *args) { gemm(args, 2, 8, 1); }
LW_TARGET void lw_gemm_sparse_4x4__dotprod(const void *args) { gemm(args, 4, 4, 1); }
LW_TARGET void lw_gemm_sparse_8x4__dotprod(const void *args) { gemm(args, 8, 4, 1); }
LW_TARGET void lw_gemm_dense_1x4__dotprod(const void *args) { gemm(args, 1, 16, 0); }
LW_TARGET void lw_gemm_dense_2x4__dotprod(const void *args) { gemm(args, 2, 8, 0); }
LW_TARGET void lw_gemm_dense_4x4__dotprod(const void *args) { gemm(args, 4, 4, 0); }
LW_TARGET void lw_gemm_dense_8x4__dotprod(const void *args) { gemm(args, 8, 4, 0); }
