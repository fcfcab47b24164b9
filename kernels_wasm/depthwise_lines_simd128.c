// The lines of padded input that the depthwise kernels of every tier read.
#include "vector128.h"

#define LW_KERNEL LW_DEPTHWISE_LINES
#include "../runtime/engine/vector128/depthwise_lines.h"
