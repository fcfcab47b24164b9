// im2col, simd128.
#include "vector128.h"

#define LW_KERNEL(family) lw_##family##__simd128
#include "../runtime/engine/vector128/pack.h"
