// The words that the texts in runtime/engine/vector128 are written in, for WebAssembly. kernels_arm has the same words.
#ifndef LW_VECTOR128_H
#define LW_VECTOR128_H

#include <wasm_simd128.h>

#include "lw_kernel.h"
#include "requantize.h"

#define LW_VECTOR_BYTES 16u
#define LW_VECTOR_PIXELS 4u            // of a quad
#define LW_UNROLLED _Pragma("unroll")  // before a loop of constant length
#define LW_DEPTHWISE_LINES lw_depthwise_lines__simd128

typedef v128_t v_u8;   // often [4 pixels][4 channels]
typedef v128_t v_s8;   //
typedef v128_t v_i32;  // often [4 channels]
typedef v128_t v_f32;  //

LW_INLINE v_u8 load_u8(const uint8_t *p) { return wasm_v128_load(p); }
LW_INLINE void store_u8(uint8_t *p, v_u8 v) { wasm_v128_store(p, v); }
LW_INLINE v_u8 splat_u8(int32_t x) { return wasm_i8x16_splat((int8_t)x); }
LW_INLINE v_u8 splat_u16(uint16_t x) { return wasm_u16x8_splat(x); }
LW_INLINE v_u8 max_u8(v_u8 a, v_u8 b) { return wasm_u8x16_max(a, b); }
LW_INLINE v_u8 and_u8(v_u8 a, v_u8 b) { return wasm_v128_and(a, b); }
LW_INLINE v_u8 or_u8(v_u8 a, v_u8 b) { return wasm_v128_or(a, b); }

LW_INLINE v_i32 load_i32(const int32_t *p) { return wasm_v128_load(p); }
LW_INLINE v_i32 splat_i32(int32_t x) { return wasm_i32x4_splat(x); }
LW_INLINE v_i32 add_i32(v_i32 a, v_i32 b) { return wasm_i32x4_add(a, b); }
LW_INLINE v_f32 load_f32(const float *p) { return wasm_v128_load(p); }
LW_INLINE v_f32 splat_f32(float x) { return wasm_f32x4_splat(x); }
LW_INLINE v_f32 add_f32(v_f32 a, v_f32 b) { return wasm_f32x4_add(a, b); }
LW_INLINE v_f32 sub_f32(v_f32 a, v_f32 b) { return wasm_f32x4_sub(a, b); }
LW_INLINE v_f32 mul_f32(v_f32 a, v_f32 b) { return wasm_f32x4_mul(a, b); }
LW_INLINE v_f32 f32_of_i32(v_i32 a) { return wasm_f32x4_convert_i32x4(a); }
LW_INLINE v_u8 bits_of_f32(v_f32 a) { return a; }
LW_INLINE v_f32 f32_of_bits(v_u8 a) { return a; }

// All bits of a lane set where it is no NaN; and whether all bits of all lanes are set.
LW_INLINE v_u8 ordered(v_f32 a) { return wasm_f32x4_eq(a, a); }
LW_INLINE int all_set(v_u8 mask) { return wasm_i8x16_all_true(mask) ? 1 : 0; }

// One pixel of a quad, as bytes and as i32.
LW_INLINE void store_pixel(uint8_t *p /* [4] */, v_u8 v) { wasm_v128_store32_lane(p, v, 0); }
LW_INLINE v_u8 load_pixel(const uint8_t *p /* [4] */) { return wasm_v128_load32_splat(p); }  // in every pixel
LW_INLINE v_i32 widen_pixel(v_u8 v) { return wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(v)); }
// The vector moved down by one pixel; the last is undefined.
LW_INLINE v_u8 next_pixel(v_u8 v) { return wasm_i32x4_shuffle(v, v, 1, 2, 3, 3); }

// Pixels 0, 2, 4, 6 of two vectors.
LW_INLINE v_u8 even_pixels(v_u8 a, v_u8 b) { return wasm_i32x4_shuffle(a, b, 0, 2, 4, 6); }
// Eight pixels split into 0, 2, 4, 6 and 1, 3, 5, 7.
typedef struct {
  v_u8 even, odd;
} v_split;
LW_INLINE v_split load_split(const uint8_t *p /* [8][4] */) {
  const v_u8 low = load_u8(p), high = load_u8(p + 16);
  return (v_split){even_pixels(low, high), wasm_i32x4_shuffle(low, high, 1, 3, 5, 7)};
}

// Bytes, or pairs of bytes, of two vectors in turn; the low or the high halves.
LW_INLINE v_u8 zip_low_u8(v_u8 a, v_u8 b) {
  return wasm_i8x16_shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
LW_INLINE v_u8 zip_high_u8(v_u8 a, v_u8 b) {
  return wasm_i8x16_shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
LW_INLINE v_u8 zip_low_u16(v_u8 a, v_u8 b) { return wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
LW_INLINE v_u8 zip_high_u16(v_u8 a, v_u8 b) { return wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }

// Four rows of four bytes become columns.
LW_INLINE v_u8 transposed_4x4(v_u8 v) {
  return wasm_i8x16_shuffle(v, v, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}

// From scaled sums to u7, to nearest, ties to even.
typedef requantizer v_output;

LW_INLINE v_output output_of(const lw_requant *r) { return requantizer_of(r); }
LW_INLINE v_u8 output_bytes(v_f32 a, v_f32 b, v_f32 c, v_f32 d, const v_output *o) {
  return rounded_in_order(a, b, c, d, o);
}

// The same for sums of products, which are known to stay in i32 when scaled.
typedef sum_requantizer v_sum_output;

LW_INLINE v_sum_output sum_output_of(const lw_requant *r) { return sum_requantizer_of(r); }
LW_INLINE v_u8 sum_bytes(v_f32 a, v_f32 b, v_f32 c, v_f32 d, const v_sum_output *o) {
  return sums_in_order(a, b, c, d, o);
}

// Sixteen sums in i16, and adding them up in i32.
typedef struct {
  v128_t low, high;
} v_sums16;

LW_INLINE v_sums16 sums16_none(void) { return (v_sums16){wasm_i16x8_splat(0), wasm_i16x8_splat(0)}; }
LW_INLINE v_sums16 sums16_add_u8(v_sums16 s, v_u8 v) {
  return (v_sums16){wasm_i16x8_add(s.low, wasm_u16x8_extend_low_u8x16(v)),
                    wasm_i16x8_add(s.high, wasm_u16x8_extend_high_u8x16(v))};
}
LW_INLINE void add_sums16(v_i32 sum[4], v_sums16 s) {
  sum[0] = wasm_i32x4_add(sum[0], wasm_i32x4_extend_low_i16x8(s.low));
  sum[1] = wasm_i32x4_add(sum[1], wasm_i32x4_extend_high_i16x8(s.low));
  sum[2] = wasm_i32x4_add(sum[2], wasm_i32x4_extend_low_i16x8(s.high));
  sum[3] = wasm_i32x4_add(sum[3], wasm_i32x4_extend_high_i16x8(s.high));
}

// Two such at once: their neighbours side by side are what i32x4.dot_i16x8 with ones adds up. The relaxed module, whose
// only kernels with such sums are 5x5, has no bytes left for that.
LW_INLINE void add_two_sums16(v_i32 sum[4], v_sums16 a, v_sums16 b) {
#ifdef __wasm_relaxed_simd__
  add_sums16(sum, a);
  add_sums16(sum, b);
#else
  v128_t ones = wasm_i16x8_const_splat(1);
  LW_KEEP(ones);
  sum[0] = wasm_i32x4_add(sum[0], wasm_i32x4_dot_i16x8(zip_low_u16(a.low, b.low), ones));
  sum[1] = wasm_i32x4_add(sum[1], wasm_i32x4_dot_i16x8(zip_high_u16(a.low, b.low), ones));
  sum[2] = wasm_i32x4_add(sum[2], wasm_i32x4_dot_i16x8(zip_low_u16(a.high, b.high), ones));
  sum[3] = wasm_i32x4_add(sum[3], wasm_i32x4_dot_i16x8(zip_high_u16(a.high, b.high), ones));
#endif
}

// Bytes ready to be multiplied: u7 activations, and the four weights of a tap for every pixel. Both widened to i16:
// x86 has no product of bytes, and widening while loading is free there.
typedef v_sums16 v_taps;
typedef v128_t v_weights;  // [2 pixels][4 channels] i16

LW_INLINE v_taps taps_of(v_u8 v) { return (v_taps){wasm_u16x8_extend_low_u8x16(v), wasm_u16x8_extend_high_u8x16(v)}; }
LW_INLINE v_taps load_taps(const uint8_t *p) { return (v_taps){wasm_u16x8_load8x8(p), wasm_u16x8_load8x8(p + 8)}; }
LW_INLINE v_weights load_weights(const int8_t *w /* [4] */) {
  return wasm_i16x8_extend_low_i8x16(wasm_v128_load32_splat(w));
}
LW_INLINE v_sums16 multiply(v_taps t, v_weights w) {
  return (v_sums16){wasm_i16x8_mul(t.low, w), wasm_i16x8_mul(t.high, w)};
}
LW_INLINE v_sums16 multiply_add(v_sums16 s, v_taps t, v_weights w) {
  return (v_sums16){wasm_i16x8_add(s.low, wasm_i16x8_mul(t.low, w)), wasm_i16x8_add(s.high, wasm_i16x8_mul(t.high, w))};
}

// Whether 127 times the sum of some weights, or of any part of them, fits i16.
typedef struct {
  v128_t most, least;
} v_range;
LW_INLINE v_range range_of(v_weights w) {
  const v128_t none = wasm_i16x8_splat(0);
  return (v_range){wasm_i16x8_max(w, none), wasm_i16x8_min(w, none)};
}
LW_INLINE v_range range_add(v_range r, v_weights w) {
  const v_range more = range_of(w);
  return (v_range){wasm_i16x8_add(r.most, more.most), wasm_i16x8_add(r.least, more.least)};
}
LW_INLINE int range_fits(v_range r) {
  const v128_t largest = wasm_i16x8_max(r.most, wasm_i16x8_neg(r.least));
  return !wasm_v128_any_true(wasm_i16x8_gt(largest, wasm_i16x8_splat(INT16_MAX / (int)LW_ACTIVATION_MAX)));
}

// Sixteen differences from a zero point, and their products with others in i32.
LW_INLINE v_sums16 differences(v_u8 v, v_u8 zero_point) {
  const v128_t zero = wasm_u16x8_extend_low_u8x16(zero_point);
  return (v_sums16){wasm_i16x8_sub(wasm_u16x8_extend_low_u8x16(v), zero),
                    wasm_i16x8_sub(wasm_u16x8_extend_high_u8x16(v), zero)};
}
LW_INLINE void products(v_sums16 a, v_sums16 b, v_i32 product[4]) {
  product[0] = wasm_i32x4_extmul_low_i16x8(a.low, b.low);
  product[1] = wasm_i32x4_extmul_high_i16x8(a.low, b.low);
  product[2] = wasm_i32x4_extmul_low_i16x8(a.high, b.high);
  product[3] = wasm_i32x4_extmul_high_i16x8(a.high, b.high);
}

#endif
