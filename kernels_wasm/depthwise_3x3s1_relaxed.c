// Depthwise 3x3, stride 1, relaxed products of pairs.
#ifdef __wasm_relaxed_simd__
#include "relaxed.h"

#define LW_KERNEL lw_depthwise_3x3s1__relaxed
#define LW_DOT LW_DOT_BY_PAIRS
#define LW_IN_PLACE
#define LW_KERNEL_STRIDE 1
#include "../runtime/engine/vector128/depthwise_dot.h"
#endif
