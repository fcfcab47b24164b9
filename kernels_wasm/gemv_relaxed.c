// One pixel through i16x8.relaxed_dot: two products are added in int16, then widened.
#ifdef __wasm_relaxed_simd__

#include <wasm_simd128.h>

#define PARTS 1

// The signed operand comes first: the second must be 0..127 for the result to be the same everywhere.
static inline void dot(v128_t *sum /* [1] */, v128_t q, v128_t w) {
  const v128_t products = wasm_i16x8_relaxed_dot_i8x16_i7x16(w, q);
  *sum = wasm_i32x4_add(*sum, wasm_i32x4_extadd_pairwise_i16x8(products));
}
static inline v128_t whole_sums(const v128_t *sum) { return *sum; }

#include "gemv_template.h"

void lw_gemv_1x4__relaxed(const void *args) { gemv(args, 1); }
void lw_gemv_2x4__relaxed(const void *args) { gemv(args, 2); }
void lw_gemv_4x4__relaxed(const void *args) { gemv(args, 4); }

#endif
