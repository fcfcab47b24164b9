// Products through i32x4.dot_i16x8_s (pmaddwd): the even and the odd channels of four pixels, each widened to i16.
#ifndef __wasm_relaxed_simd__

#include <wasm_simd128.h>

#include "lw_kernel.h"

// Channels 0 and 2 of four pixels, and 1 and 3: the low and the high bytes of the i16 that a quad is two of.
typedef struct {
  v128_t even, odd;
} pixels, weights;

static inline pixels load_pixels(const uint8_t *line) {
  const v128_t q = wasm_v128_load(line);
  return (pixels){wasm_u16x8_shr(wasm_i16x8_shl(q, 8), 8), wasm_u16x8_shr(q, 8)};
}
static inline weights load_weights(const int8_t *w) {
  const v128_t x = wasm_v128_load32_splat(w);
  return (weights){wasm_i16x8_shr(wasm_i16x8_shl(x, 8), 8), wasm_i16x8_shr(x, 8)};
}

static inline v128_t loop_constant(void) { return wasm_i32x4_const_splat(0); }  // none
static inline v128_t dot(v128_t sum, pixels q, weights w, v128_t none) {
  (void)none;
  return wasm_i32x4_add(wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(q.even, w.even)), wasm_i32x4_dot_i16x8(q.odd, w.odd));
}

#include "gemm_template.h"

GEMM_KERNELS(simd128)

#endif
