// Four planes of float to one plane of quads, NEON.
#include "vector128.h"

#define LW_KERNEL(family) lw_##family##__neon
#include "../runtime/engine/vector128/quantize.h"
