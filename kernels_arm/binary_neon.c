// Residual add and product, NEON.
#include "vector128.h"

#define LW_KERNEL(family) lw_##family##__neon
#include "../runtime/engine/vector128/binary.h"
