// One pixel through i32x4.dot_i16x8_s, whose operands are widened first: the low and the high eight of each register.
#ifndef __wasm_relaxed_simd__

#include <wasm_simd128.h>

#define PARTS 2

static inline void dot(v128_t *sum /* [2] */, v128_t q, v128_t w) {
  const v128_t low = wasm_i32x4_dot_i16x8(wasm_u16x8_extend_low_u8x16(q), wasm_i16x8_extend_low_i8x16(w));
  const v128_t high = wasm_i32x4_dot_i16x8(wasm_u16x8_extend_high_u8x16(q), wasm_i16x8_extend_high_i8x16(w));
  sum[0] = wasm_i32x4_add(sum[0], low);
  sum[1] = wasm_i32x4_add(sum[1], high);
}
static inline v128_t whole_sums(const v128_t *sum /* [2] */) {
  return wasm_i32x4_add(wasm_i32x4_shuffle(sum[0], sum[1], 0, 2, 4, 6), wasm_i32x4_shuffle(sum[0], sum[1], 1, 3, 5, 7));
}

#include "gemv_template.h"

void lw_gemv_1x4__simd128(const void *args) { gemv(args, 1); }
void lw_gemv_2x4__simd128(const void *args) { gemv(args, 2); }
void lw_gemv_4x4__simd128(const void *args) { gemv(args, 4); }

#endif
