// Products through i32x4.relaxed_dot_add, where it is one instruction (vpdpbusd, sdot).
#ifdef __wasm_relaxed_simd__

#include <wasm_simd128.h>

#include "lw_kernel.h"

typedef v128_t pixels, weights;
static inline pixels load_pixels(const uint8_t *line) { return wasm_v128_load(line); }
static inline weights load_weights(const int8_t *w) { return wasm_v128_load32_splat(w); }

// The signed operand comes first: the second must be 0..127 for the result to be the same everywhere.
static inline v128_t dot(v128_t sum, v128_t q, v128_t w, v128_t none) {
  (void)none;
  return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(w, q, sum);
}
static inline v128_t loop_constant(void) { return wasm_i32x4_const_splat(0); }  // none

#include "gemm_template.h"

GEMM_KERNELS(relaxed_dot)

#endif
