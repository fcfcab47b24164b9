// Depthwise 3x3, stride 1, AVX2.
//
// Floor on a machine with four vector pipes (Zen 3), per 32 output bytes: 12 maddubs, 8 adds and 4 madd for the taps,
// 4 bias adds, 12 conversions and multiplies, 6 packs and clamps, half of 12 unpacks: 52 operations, 13 cycles, 2.5
// outputs a cycle. Filters that do not fit i16 cost 4 or 8 operations more.
#include "x86.h"

#define LW_TARGET LW_TARGET_AVX2
#define LW_KERNEL lw_depthwise_3x3s1__avx2
void LW_KERNEL(const void *args);
#include "depthwise_3x3s1.h"
