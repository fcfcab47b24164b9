// Products through i32x4.dot_i16x8_s (pmaddwd): activations and weights are widened on their way from memory.
#ifndef __wasm_relaxed_simd__

#include <wasm_simd128.h>

#include "lw_kernel.h"

#define PARTS 2  // of two pixels each: a lane sums the products of two of a pixel's four channels
#define QUAD_CHANNELS 2

static inline v128_t load_part(const uint8_t *line, int part) { return wasm_u16x8_load8x8(line + part * 8); }
static inline v128_t load_weights(const int8_t *w) { return wasm_i16x8_extend_low_i8x16(wasm_v128_load32_splat(w)); }
static inline v128_t dot(v128_t sum, v128_t q, v128_t w, v128_t none) {
  (void)none;
  return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(q, w));
}
static inline v128_t loop_constant(void) { return wasm_i32x4_const_splat(0); }  // none
static inline v128_t first_sum(v128_t bias) { return wasm_v128_and(bias, wasm_i32x4_const(-1, 0, -1, 0)); }
static inline v128_t whole_sums(const v128_t *sum) {
  return wasm_i32x4_add(wasm_i32x4_shuffle(sum[0], sum[1], 0, 2, 4, 6), wasm_i32x4_shuffle(sum[0], sum[1], 1, 3, 5, 7));
}

#include "gemm_template.h"

void lw_gemm_sparse_1x4__simd128(const void *args) { gemm(args, 1, 1, 4, 1); }
void lw_gemm_sparse_2x4__simd128(const void *args) { gemm(args, 2, 2, 2, 1); }
void lw_gemm_sparse_4x4__simd128(const void *args) { sparse_quads(args); }
void lw_gemm_sparse_8x4__simd128(const void *args) { sparse_quads(args); }
void lw_gemm_dense_1x4__simd128(const void *args) { gemm_by_channels(args); }
void lw_gemm_dense_2x4__simd128(const void *args) { gemm_by_channels(args); }
void lw_gemm_dense_4x4__simd128(const void *args) { dense_quads(args); }
void lw_gemm_dense_8x4__simd128(const void *args) { dense_quads(args); }

#endif
