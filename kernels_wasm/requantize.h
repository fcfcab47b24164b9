// From a scaled sum to a u7, four at a time.
#ifndef LW_REQUANTIZE_H
#define LW_REQUANTIZE_H

#include <wasm_simd128.h>

#include "lw_kernel.h"

#define LW_INLINE static inline __attribute__((always_inline))

typedef struct {
  v128_t least, most;   // f32: the clamps, less the zero point
  v128_t from_rounder;  // i32: what turns the bits of a rounded f32 into a u7
  v128_t from_quad;     // i32: the same for four of them, each in a byte of its own
} requantizer;

// Adding 1.5 * 2^23 leaves no bits for a fraction: the addition itself rounds, half to even, and the low bits of the
// result are the integer. The product is clamped first, which cannot change a result: the bounds are integers.
#define ROUNDER 12582912.0f
#define ROUNDER_BITS 0x4B400000

LW_INLINE requantizer requantizer_of(const lw_requant *r) {
  const v128_t from_rounder = wasm_i32x4_splat(r->zero_point - ROUNDER_BITS);
  return (requantizer){wasm_f32x4_splat((float)(r->clamp_min - r->zero_point)),
                       wasm_f32x4_splat((float)(r->clamp_max - r->zero_point)), from_rounder,
                       wasm_i32x4_mul(from_rounder, wasm_i32x4_const_splat(0x01010101))};
}

// The products of four sums with their scales, f32 -> the bits of a rounded f32.
LW_INLINE v128_t rounder_bits(v128_t product, const requantizer *to) {
  const v128_t clamped = wasm_f32x4_pmin(to->most, wasm_f32x4_pmax(to->least, product));
  return wasm_f32x4_add(clamped, wasm_f32x4_const_splat(ROUNDER));
}

// The same -> u7 in 32 bits.
LW_INLINE v128_t rounded_and_clamped(v128_t product, const requantizer *to) {
  return wasm_i32x4_add(rounder_bits(product, to), to->from_rounder);
}

// Four channels -> [4 pixels][4 channels] u7. Bits are shifted and added up as they are: what each has above its u7
// is the same for all pixels, so one addition, modulo 2^32, removes it from all four.
LW_INLINE v128_t rounded_quad(v128_t c0, v128_t c1, v128_t c2, v128_t c3, const requantizer *to) {
  const v128_t low = wasm_i32x4_add(rounder_bits(c0, to), wasm_i32x4_shl(rounder_bits(c1, to), 8));
  const v128_t high = wasm_i32x4_add(rounder_bits(c2, to), wasm_i32x4_shl(rounder_bits(c3, to), 8));
  return wasm_i32x4_add(wasm_i32x4_add(low, wasm_i32x4_shl(high, 16)), to->from_quad);
}

#endif
