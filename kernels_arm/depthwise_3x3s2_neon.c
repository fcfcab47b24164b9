// Depthwise 3x3, stride 2, NEON.
#include "vector128.h"

#define LW_KERNEL lw_depthwise_3x3s2__neon
#define LW_KERNEL_SIZE 3
#define LW_KERNEL_STRIDE 2
#include "../runtime/engine/vector128/depthwise_i16.h"
