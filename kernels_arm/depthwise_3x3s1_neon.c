// Depthwise 3x3, stride 1, NEON.
#include "vector128.h"

#define LW_KERNEL lw_depthwise_3x3s1__neon
#define LW_KERNEL_SIZE 3
#define LW_KERNEL_STRIDE 1
#include "../runtime/engine/vector128/depthwise_i16.h"
