// The words that the texts in runtime/engine/vector128 are written in, for NEON. kernels_wasm has the same words.
#ifndef LW_VECTOR128_H
#define LW_VECTOR128_H

#include <arm_neon.h>

#include "lw_kernel.h"

#define LW_INLINE static inline __attribute__((always_inline))
#define LW_VECTOR_BYTES 16u
#define LW_VECTOR_PIXELS 4u  // of a quad
// Before a loop of constant length.
#if defined(__clang__)
#define LW_UNROLLED _Pragma("unroll")
#else
#define LW_UNROLLED _Pragma("GCC unroll 32")
#endif
#define LW_IN_PLACE
#define LW_DEPTHWISE_LINES lw_depthwise_lines__neon

typedef uint8x16_t v_u8;    // often [4 pixels][4 channels]
typedef int8x16_t v_s8;     //
typedef int32x4_t v_i32;    // often [4 channels]
typedef float32x4_t v_f32;  //

LW_INLINE v_u8 load_u8(const uint8_t *p) { return vld1q_u8(p); }
LW_INLINE void store_u8(uint8_t *p, v_u8 v) { vst1q_u8(p, v); }
LW_INLINE v_u8 splat_u8(int32_t x) { return vdupq_n_u8((uint8_t)x); }
LW_INLINE v_u8 splat_u16(uint16_t x) { return vreinterpretq_u8_u16(vdupq_n_u16(x)); }
LW_INLINE v_u8 max_u8(v_u8 a, v_u8 b) { return vmaxq_u8(a, b); }
LW_INLINE v_u8 and_u8(v_u8 a, v_u8 b) { return vandq_u8(a, b); }
LW_INLINE v_u8 or_u8(v_u8 a, v_u8 b) { return vorrq_u8(a, b); }

LW_INLINE v_i32 load_i32(const int32_t *p) { return vld1q_s32(p); }
LW_INLINE v_i32 splat_i32(int32_t x) { return vdupq_n_s32(x); }
LW_INLINE v_i32 add_i32(v_i32 a, v_i32 b) { return vaddq_s32(a, b); }
LW_INLINE v_f32 load_f32(const float *p) { return vld1q_f32(p); }
LW_INLINE v_f32 splat_f32(float x) { return vdupq_n_f32(x); }
LW_INLINE v_f32 add_f32(v_f32 a, v_f32 b) { return vaddq_f32(a, b); }
LW_INLINE v_f32 sub_f32(v_f32 a, v_f32 b) { return vsubq_f32(a, b); }
LW_INLINE v_f32 mul_f32(v_f32 a, v_f32 b) { return vmulq_f32(a, b); }
LW_INLINE v_f32 f32_of_i32(v_i32 a) { return vcvtq_f32_s32(a); }
LW_INLINE v_u8 bits_of_f32(v_f32 a) { return vreinterpretq_u8_f32(a); }
LW_INLINE v_f32 f32_of_bits(v_u8 a) { return vreinterpretq_f32_u8(a); }

// All bits of a lane set where it is no NaN; and whether all bits of all lanes are set.
LW_INLINE v_u8 ordered(v_f32 a) { return vreinterpretq_u8_u32(vceqq_f32(a, a)); }
LW_INLINE int all_set(v_u8 mask) { return vminvq_u8(mask) == 255; }

// One pixel of a quad, as bytes and as i32.
LW_INLINE void store_pixel(uint8_t *p /* [4] */, v_u8 v) {
  const uint32_t four = vgetq_lane_u32(vreinterpretq_u32_u8(v), 0);
  __builtin_memcpy(p, &four, sizeof four);
}
LW_INLINE v_u8 load_pixel(const uint8_t *p /* [4] */) {
  uint32_t four;
  __builtin_memcpy(&four, p, sizeof four);
  return vreinterpretq_u8_u32(vdupq_n_u32(four));  // in every pixel
}
LW_INLINE v_i32 widen_pixel(v_u8 v) { return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vget_low_u8(v))))); }
// The vector moved down by one pixel; the last is undefined.
LW_INLINE v_u8 next_pixel(v_u8 v) { return vextq_u8(v, v, LW_QUAD); }

// Pixels 0, 2, 4, 6 of two vectors.
LW_INLINE v_u8 even_pixels(v_u8 a, v_u8 b) {
  return vreinterpretq_u8_u32(vuzp1q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b)));
}
// Eight pixels split into 0, 2, 4, 6 and 1, 3, 5, 7.
typedef struct {
  v_u8 even, odd;
} v_split;
LW_INLINE v_split load_split(const uint8_t *p /* [8][4] */) {
  const uint32x4x2_t both = vld2q_u32((const uint32_t *)(const void *)p);
  return (v_split){vreinterpretq_u8_u32(both.val[0]), vreinterpretq_u8_u32(both.val[1])};
}

// Bytes, or pairs of bytes, of two vectors in turn; the low or the high halves.
LW_INLINE v_u8 zip_low_u8(v_u8 a, v_u8 b) { return vzip1q_u8(a, b); }
LW_INLINE v_u8 zip_high_u8(v_u8 a, v_u8 b) { return vzip2q_u8(a, b); }
LW_INLINE v_u8 zip_low_u16(v_u8 a, v_u8 b) {
  return vreinterpretq_u8_u16(vzip1q_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b)));
}
LW_INLINE v_u8 zip_high_u16(v_u8 a, v_u8 b) {
  return vreinterpretq_u8_u16(vzip2q_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b)));
}

// Four rows of four bytes become columns.
LW_INLINE v_u8 transposed_4x4(v_u8 v) {
  static const uint8_t order[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
  return vqtbl1q_u8(v, vld1q_u8(order));
}

// From scaled sums to u7, to nearest, ties to even.
typedef struct {
  v_s8 low, high;   // the clamp before the zero point is added, -127..127
  v_s8 zero_point;  //
} v_output;

LW_INLINE v_output output_of(const lw_requant *r) {
  return (v_output){vdupq_n_s8((int8_t)(r->clamp_min - r->zero_point)),
                    vdupq_n_s8((int8_t)(r->clamp_max - r->zero_point)), vdupq_n_s8((int8_t)r->zero_point)};
}

// Saturating to i8 before the clamp is exact because both bounds are i8.
LW_INLINE v_u8 output_bytes(v_f32 a, v_f32 b, v_f32 c, v_f32 d, const v_output *o) {
  const int16x8_t ab = vqmovn_high_s32(vqmovn_s32(vcvtnq_s32_f32(a)), vcvtnq_s32_f32(b));
  const int16x8_t cd = vqmovn_high_s32(vqmovn_s32(vcvtnq_s32_f32(c)), vcvtnq_s32_f32(d));
  const v_s8 bytes = vqmovn_high_s16(vqmovn_s16(ab), cd);
  return vreinterpretq_u8_s8(vaddq_s8(vminq_s8(vmaxq_s8(bytes, o->low), o->high), o->zero_point));
}

// The same for sums of products, which are known to stay in i32 when scaled: no matter here.
typedef v_output v_sum_output;
#define sum_output_of output_of
#define sum_bytes output_bytes

// Sixteen sums in i16, and adding them up in i32.
typedef struct {
  int16x8_t low, high;
} v_sums16;

LW_INLINE v_sums16 sums16_none(void) { return (v_sums16){vdupq_n_s16(0), vdupq_n_s16(0)}; }
LW_INLINE v_sums16 sums16_add_u8(v_sums16 s, v_u8 v) {
  const uint16x8_t low = vaddw_u8(vreinterpretq_u16_s16(s.low), vget_low_u8(v));
  const uint16x8_t high = vaddw_high_u8(vreinterpretq_u16_s16(s.high), v);
  return (v_sums16){vreinterpretq_s16_u16(low), vreinterpretq_s16_u16(high)};
}
LW_INLINE void add_sums16(v_i32 sum[4], v_sums16 s) {
  sum[0] = vaddw_s16(sum[0], vget_low_s16(s.low));
  sum[1] = vaddw_high_s16(sum[1], s.low);
  sum[2] = vaddw_s16(sum[2], vget_low_s16(s.high));
  sum[3] = vaddw_high_s16(sum[3], s.high);
}
LW_INLINE void add_two_sums16(v_i32 sum[4], v_sums16 a, v_sums16 b) {
  add_sums16(sum, a);
  add_sums16(sum, b);
}

// Bytes ready to be multiplied: u7 activations, and the four weights of a tap for every pixel.
typedef v_s8 v_taps;
typedef v_s8 v_weights;

LW_INLINE v_taps taps_of(v_u8 v) { return vreinterpretq_s8_u8(v); }
LW_INLINE v_taps load_taps(const uint8_t *p) { return taps_of(load_u8(p)); }
LW_INLINE v_weights load_weights(const int8_t *w /* [4] */) {
  return vreinterpretq_s8_u8(load_pixel((const uint8_t *)w));
}
LW_INLINE v_sums16 multiply(v_taps t, v_weights w) {
  return (v_sums16){vmull_s8(vget_low_s8(t), vget_low_s8(w)), vmull_high_s8(t, w)};
}
LW_INLINE v_sums16 multiply_add(v_sums16 s, v_taps t, v_weights w) {
  return (v_sums16){vmlal_s8(s.low, vget_low_s8(t), vget_low_s8(w)), vmlal_high_s8(s.high, t, w)};
}

// Whether 127 times the sum of some weights, or of any part of them, fits i16.
typedef struct {
  int16x8_t most, least;
} v_range;
LW_INLINE v_range range_of(v_weights w) {
  const v_s8 none = vdupq_n_s8(0);
  return (v_range){vmovl_s8(vget_low_s8(vmaxq_s8(w, none))), vmovl_s8(vget_low_s8(vminq_s8(w, none)))};
}
LW_INLINE v_range range_add(v_range r, v_weights w) {
  const v_range more = range_of(w);
  return (v_range){vaddq_s16(r.most, more.most), vaddq_s16(r.least, more.least)};
}
LW_INLINE int range_fits(v_range r) {
  return vmaxvq_s16(vmaxq_s16(r.most, vnegq_s16(r.least))) <= INT16_MAX / (int)LW_ACTIVATION_MAX;
}

// Sixteen differences from a zero point, and their products with others in i32.
LW_INLINE v_sums16 differences(v_u8 v, v_u8 zero_point) {
  return (v_sums16){vreinterpretq_s16_u16(vsubl_u8(vget_low_u8(v), vget_low_u8(zero_point))),
                    vreinterpretq_s16_u16(vsubl_high_u8(v, zero_point))};
}
LW_INLINE void products(v_sums16 a, v_sums16 b, v_i32 product[4]) {
  product[0] = vmull_s16(vget_low_s16(a.low), vget_low_s16(b.low));
  product[1] = vmull_high_s16(a.low, b.low);
  product[2] = vmull_s16(vget_low_s16(a.high), vget_low_s16(b.high));
  product[3] = vmull_high_s16(a.high, b.high);
}

#endif
