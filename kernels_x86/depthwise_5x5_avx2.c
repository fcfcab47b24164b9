// Depthwise 5x5, strides 1 and 2, AVX2.
//
// Floor on four vector pipes, per 32 output bytes: stride 1, 32 maddubs, 24 adds, 8 madd and 8 adds for the taps, 19 to
// requantize, 16 unpacks: 107 operations, 27 cycles, 1.2 outputs a cycle. Filters that do not fit i16: 131. Stride 2
// has one row's outputs per interleave: 29 unpacks and 40 shuffles instead of 16.
#include "x86.h"

#define LW_TARGET LW_TARGET_AVX2
#define LW_KERNEL_S1 lw_depthwise_5x5s1__avx2
#define LW_KERNEL_S2 lw_depthwise_5x5s2__avx2
void LW_KERNEL_S1(const void *args);
void LW_KERNEL_S2(const void *args);
#include "depthwise_5x5.h"
