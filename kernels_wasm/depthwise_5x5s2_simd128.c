// Depthwise 5x5, stride 2, simd128.
#include "vector128.h"

#define LW_KERNEL lw_depthwise_5x5s2__simd128
#define LW_KERNEL_SIZE 5
#define LW_KERNEL_STRIDE 2
#define LW_SMALL
#include "../runtime/engine/vector128/depthwise_i16.h"
