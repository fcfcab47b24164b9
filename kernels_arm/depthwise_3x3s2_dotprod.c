// Depthwise 3x3, stride 2, SDOT.
#include "dotprod.h"

#define LW_KERNEL lw_depthwise_3x3s2__dotprod
#define LW_KERNEL_STRIDE 2
#include "../runtime/engine/vector128/depthwise_dot.h"
