// From a scaled sum to a u7, four at a time.
#ifndef LW_REQUANTIZE_H
#define LW_REQUANTIZE_H

#include <wasm_simd128.h>

#include "lw_kernel.h"

#define LW_INLINE static inline __attribute__((always_inline))

typedef struct {
  v128_t least, most;   // f32: the clamps, less the zero point
  v128_t from_rounder;  // i32: what turns the bits of a rounded f32 into a u7
} requantizer;

// Adding 1.5 * 2^23 leaves no bits for a fraction: the addition itself rounds, half to even, and the low bits of the
// result are the integer. The product is clamped first, which cannot change a result: the bounds are integers.
#define ROUNDER 12582912.0f
#define ROUNDER_BITS 0x4B400000

LW_INLINE requantizer requantizer_of(const lw_requant *r) {
  return (requantizer){wasm_f32x4_splat((float)(r->clamp_min - r->zero_point)),
                       wasm_f32x4_splat((float)(r->clamp_max - r->zero_point)),
                       wasm_i32x4_splat(r->zero_point - ROUNDER_BITS)};
}

// The products of four sums with their scales, f32 -> u7 in 32 bits.
LW_INLINE v128_t rounded_and_clamped(v128_t product, const requantizer *to) {
  const v128_t clamped = wasm_f32x4_pmin(to->most, wasm_f32x4_pmax(to->least, product));
  return wasm_i32x4_add(wasm_f32x4_add(clamped, wasm_f32x4_const_splat(ROUNDER)), to->from_rounder);
}

#endif
