// Depthwise 3x3, stride 1, SDOT.
#include "dotprod.h"

#define LW_KERNEL lw_depthwise_3x3s1__dotprod
#define LW_KERNEL_STRIDE 1
#include "../runtime/engine/vector128/depthwise_dot.h"
