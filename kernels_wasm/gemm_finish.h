// What is left to do with the sums of one output quad in a micro tile.
#ifndef LW_GEMM_FINISH_H
#define LW_GEMM_FINISH_H

#include "requantize.h"

#define PIXELS 4u      // of a register of sums
#define MAX_VECTORS 4  // registers of sums per channel

// The same for all pixels. A padding channel has no bias and no scale.
typedef struct {
  v128_t bias[LW_QUAD], scale[LW_QUAD];
} quad_constants;

void lw_gemm_constants(const lw_gemm_args *a, uint32_t quad, quad_constants *k);

LW_INLINE v128_t scaled(v128_t sum, const quad_constants *k, const int c) {
  return wasm_f32x4_mul(wasm_f32x4_convert_i32x4(sum), k->scale[c]);
}

// sum: four registers, `stride` apart; the result is [4 pixels][4 channels] u7.
LW_INLINE v128_t requantized_quad(const v128_t *sum, int stride, const quad_constants *k, const sum_requantizer *to) {
  return sums_quad(scaled(sum[0], k, 0), scaled(sum[stride], k, 1), scaled(sum[2 * stride], k, 2),
                   scaled(sum[3 * stride], k, 3), to);
}

// sum: [4][vectors] registers; of the channels that exist.
void lw_gemm_finish_u7(uint8_t *output, const v128_t *sum, const quad_constants *k, const sum_requantizer *to,
                       uint32_t vectors);
void lw_gemm_finish_f32(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const v128_t *sum,
                        const quad_constants *k, uint32_t vectors);

#endif
