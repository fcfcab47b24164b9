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

// Sums of channel weights 0 and 1, 2 and 3 of pixels 0 and 1 (low) and of pixels 2 and 3 (high).
typedef struct {
  int32x4_t low, high;
} split_sum;

LW_TEMPLATE void add_one(split_sum *s, int8x16_t pixels, int8x16_t weights) {
  s->low = vpadalq_s16(s->low, vmull_s8(vget_low_s8(pixels), vget_low_s8(weights)));
  s->high = vpadalq_s16(s->high, vmull_high_s8(pixels, weights));
}

LW_TEMPLATE void add_two(split_sum *s, int8x16_t pixels0, int8x16_t weights0, int8x16_t pixels1, int8x16_t weights1) {
  const int16x8_t low = vmull_s8(vget_low_s8(pixels0), vget_low_s8(weights0));
  const int16x8_t high = vmull_high_s8(pixels0, weights0);
  s->low = vpadalq_s16(s->low, vmlal_s8(low, vget_low_s8(pixels1), vget_low_s8(weights1)));
  s->high = vpadalq_s16(s->high, vmlal_high_s8(high, pixels1, weights1));
}

LW_TEMPLATE void add_block(const block_list *b, size_t i, split_sum *sum, const int rows, const int channels,
                           const int vectors, const int sparse) {
  const uint8_t *line = line_of(b, i, sparse);
  int8x16_t weights[4];
  load_weights(b->weights + i * (size_t)rows * LW_QUAD, weights, channels);
  LW_UNROLL(8)
  for (int v = 0; v < vectors; v++) {
    const int8x16_t pixels = vld1q_s8((const int8_t *)line + v * 16);
    LW_UNROLL(4)
    for (int c = 0; c < channels; c++) add_one(&sum[c * vectors + v], pixels, weights[c]);
  }
}

LW_TEMPLATE void add_pair(const block_list *b, size_t i, split_sum *sum, const int rows, const int channels,
                          const int vectors, const int sparse) {
  const int step = vectors < 2 ? vectors : 2;
  const uint8_t *line0 = line_of(b, i, sparse), *line1 = line_of(b, i + 1, sparse);
  const int8_t *w = b->weights + i * (size_t)rows * LW_QUAD;
  int8x16_t weights0[4], weights1[4];
  load_weights(w, weights0, channels);
  load_weights(w + rows * (int)LW_QUAD, weights1, channels);
  LW_UNROLL(8)
  for (int v = 0; v < vectors; v += step) {
    int8x16_t pixels0[2], pixels1[2];
    load_pixels(line0 + v * 16, pixels0, step);
    load_pixels(line1 + v * 16, pixels1, step);
    LW_UNROLL(8)
    for (int k = 0; k < channels * step; k++) {
      const int c = k / step, p = k % step;
      add_two(&sum[c * vectors + v + p], pixels0[p], weights0[c], pixels1[p], weights1[c]);
    }
  }
}

LW_TEMPLATE void accumulate(const block_list *b, const int32_t *bias, int32x4_t *sum /* [channels][vectors] */,
                            const int rows, const int channels, const int vectors, const int sparse) {
  split_sum split[MAX_SUMS / 2];
  LW_UNROLL(16)
  for (int s = 0; s < channels * vectors; s++) {
    split[s].low = vreinterpretq_s32_u64(vdupq_n_u64((uint32_t)bias[s / vectors]));
    split[s].high = split[s].low;
  }
  uint32_t i = 0;
  for (; i + 2 <= b->count; i += 2) add_pair(b, i, split, rows, channels, vectors, sparse);
  if (i < b->count) add_block(b, i, split, rows, channels, vectors, sparse);
  LW_UNROLL(16)
  for (int s = 0; s < channels * vectors; s++) sum[s] = vpaddq_s32(split[s].low, split[s].high);
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
