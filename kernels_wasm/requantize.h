// From a scaled sum to a u7, four at a time.
#ifndef LW_REQUANTIZE_H
#define LW_REQUANTIZE_H

#include <wasm_simd128.h>

#include "lw_kernel.h"

#define LW_INLINE static inline __attribute__((always_inline))

// V8 makes a constant anew wherever it is used, in two to four instructions. What neither compiler can see through
// stays in a register.
#define LW_KEEP(constant) __asm__("" : "+r"(constant))

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

// Four registers of four products, one after the other, to u7.
LW_INLINE v128_t rounded_in_order(v128_t p0, v128_t p1, v128_t p2, v128_t p3, const requantizer *to) {
  return wasm_u8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(rounded_and_clamped(p0, to), rounded_and_clamped(p1, to)),
                                 wasm_i16x8_narrow_i32x4(rounded_and_clamped(p2, to), rounded_and_clamped(p3, to)));
}

// Four channels -> [4 pixels][4 channels] u7. Bits are shifted and added up as they are: what each has above its u7
// is the same for all pixels, so one addition, modulo 2^32, removes it from all four.
LW_INLINE v128_t rounded_quad(v128_t c0, v128_t c1, v128_t c2, v128_t c3, const requantizer *to) {
  const v128_t low = wasm_i32x4_add(rounder_bits(c0, to), wasm_i32x4_shl(rounder_bits(c1, to), 8));
  const v128_t high = wasm_i32x4_add(rounder_bits(c2, to), wasm_i32x4_shl(rounder_bits(c3, to), 8));
  return wasm_i32x4_add(wasm_i32x4_add(low, wasm_i32x4_shl(high, 16)), to->from_quad);
}

// The same for sums of products. The verifier has proved that each, scaled, stays in i32: relaxed SIMD converts such
// with one instruction, the same everywhere, and clamps bytes.
#ifdef __wasm_relaxed_simd__

typedef struct {
  v128_t least, most, zero_point;  // i8: the clamps, less the zero point; and that
  v128_t order;                    // of [4 channels][4 pixels] that become [4 pixels][4 channels]
} sum_requantizer;

LW_INLINE sum_requantizer sum_requantizer_of(const lw_requant *r) {
  sum_requantizer to = {wasm_i8x16_splat((int8_t)(r->clamp_min - r->zero_point)),
                        wasm_i8x16_splat((int8_t)(r->clamp_max - r->zero_point)),
                        wasm_i8x16_splat((int8_t)r->zero_point),
                        wasm_i8x16_const(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)};
  LW_KEEP(to.order);
  return to;
}

LW_INLINE v128_t nearest(v128_t product) { return wasm_i32x4_relaxed_trunc_f32x4(wasm_f32x4_nearest(product)); }

// Four registers of four products, one after the other, to u7. Saturation on the way cannot change what the clamp
// leaves: its bounds are i8.
LW_INLINE v128_t sums_in_order(v128_t p0, v128_t p1, v128_t p2, v128_t p3, const sum_requantizer *to) {
  const v128_t bytes = wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(nearest(p0), nearest(p1)),
                                               wasm_i16x8_narrow_i32x4(nearest(p2), nearest(p3)));
  return wasm_i8x16_add(wasm_i8x16_min(wasm_i8x16_max(bytes, to->least), to->most), to->zero_point);
}

// Products of four channels -> [4 pixels][4 channels] u7.
LW_INLINE v128_t sums_quad(v128_t c0, v128_t c1, v128_t c2, v128_t c3, const sum_requantizer *to) {
  return wasm_i8x16_relaxed_swizzle(sums_in_order(c0, c1, c2, c3, to), to->order);
}

#else

typedef requantizer sum_requantizer;
#define sum_requantizer_of requantizer_of
#define sums_in_order rounded_in_order
#define sums_quad rounded_quad

#endif

#endif
