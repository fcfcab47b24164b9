// Four-tap dot products in one instruction: every lowering of it is exact for u7 activations.
#ifndef LW_RELAXED_H
#define LW_RELAXED_H

#include "vector128.h"

#define LW_TARGET
#define LW_DOT(sum, u7, s8) wasm_i32x4_relaxed_dot_i8x16_i7x16_add(s8, u7, sum)

#endif
