// Products through i16x8.relaxed_dot, where i32x4.relaxed_dot_add would itself be several instructions: vpmaddubsw adds
// two products in int16, one more instruction widens them, and two paired blocks share that one.
#ifdef __wasm_relaxed_simd__

#include <wasm_simd128.h>

#include "lw_kernel.h"
#include "requantize.h"

#define PAIRS

typedef v128_t pixels, weights;
static inline pixels load_pixels(const uint8_t *line) { return wasm_v128_load(line); }
static inline weights load_weights(const int8_t *w) { return wasm_v128_load32_splat(w); }

// The signed operand comes first: the second must be 0..127 for the result to be the same everywhere.
static inline v128_t products(v128_t q, v128_t w) { return wasm_i16x8_relaxed_dot_i8x16_i7x16(w, q); }

// The ones that sum neighbours: extadd_pairwise has them, too, but V8 makes them anew for each.
static inline v128_t loop_constant(void) {
  v128_t ones = wasm_i16x8_const_splat(1);
  LW_KEEP(ones);
  return ones;
}
static inline v128_t widen_add(v128_t sum, v128_t products, v128_t ones) {
  return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(products, ones));
}
static inline v128_t dot(v128_t sum, v128_t q, v128_t w, v128_t ones) { return widen_add(sum, products(q, w), ones); }
static inline v128_t dot_pair(v128_t sum, v128_t q0, v128_t w0, v128_t q1, v128_t w1, v128_t ones) {
  return widen_add(sum, wasm_i16x8_add(products(q0, w0), products(q1, w1)), ones);
}

#include "gemm_template.h"

GEMM_KERNELS(relaxed)

#endif
