// Depthwise 5x5, strides 1 and 2, AVX-VNNI: one instruction per four taps.
#include "x86.h"

#define LW_TARGET LW_TARGET_AVXVNNI
#define LW_DOT(sum, u8, s8) _mm256_dpbusd_avx_epi32(sum, u8, s8)
#define LW_KERNEL_S1 lw_depthwise_5x5s1__avxvnni
#define LW_KERNEL_S2 lw_depthwise_5x5s2__avxvnni
void LW_KERNEL_S1(const void *args);
void LW_KERNEL_S2(const void *args);
#include "depthwise_5x5.h"
