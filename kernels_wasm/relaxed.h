// Four-tap dot products of u7 with s8, which come first: then every lowering is exact.
#ifndef LW_RELAXED_H
#define LW_RELAXED_H

#include "vector128.h"

#define LW_TARGET

// Where the machine has one instruction for it.
#define LW_DOT_WHOLE(sum, u7, s8, none) wasm_i32x4_relaxed_dot_i8x16_i7x16_add(s8, u7, sum)

// Elsewhere, by pairs: x86 without VNNI would do the same, but V8 makes the ones for vpmaddwd anew for each product.
#define LW_DOT_BY_PAIRS(sum, u7, s8, ones) \
  wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(wasm_i16x8_relaxed_dot_i8x16_i7x16(s8, u7), ones))

#define LW_DOT_CONSTANT() splat_u16(1)

#endif
