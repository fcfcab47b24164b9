// Depthwise 3x3, stride 1, relaxed dot products.
#ifdef __wasm_relaxed_simd__
#include "relaxed.h"

#define LW_KERNEL lw_depthwise_3x3s1__relaxed_dot
#define LW_DOT LW_DOT_WHOLE
#define LW_KERNEL_STRIDE 1
#include "../runtime/engine/vector128/depthwise_dot.h"
#endif
