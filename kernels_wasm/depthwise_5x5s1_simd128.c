// Depthwise 5x5, stride 1, simd128.
#include "vector128.h"

#define LW_KERNEL lw_depthwise_5x5s1__simd128
#define LW_KERNEL_SIZE 5
#define LW_KERNEL_STRIDE 1
#define LW_SMALL
#include "../runtime/engine/vector128/depthwise_i16.h"
