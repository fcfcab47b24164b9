// Depthwise 3x3, stride 1, simd128.
#ifndef __wasm_relaxed_simd__  // has its own
#include "vector128.h"

#define LW_KERNEL lw_depthwise_3x3s1__simd128
#define LW_KERNEL_SIZE 3
#define LW_KERNEL_STRIDE 1
#include "../runtime/engine/vector128/depthwise_i16.h"
#endif
