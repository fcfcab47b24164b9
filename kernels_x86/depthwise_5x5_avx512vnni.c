// Depthwise 5x5, strides 1 and 2, AVX512-VNNI in 256-bit registers: most rows are shorter than 32 pixels.
#include "x86.h"

#define LW_TARGET LW_TARGET_AVX512VNNI
#define LW_DOT(sum, u8, s8) _mm256_dpbusd_epi32(sum, u8, s8)
#define LW_KERNEL_S1 lw_depthwise_5x5s1__avx512vnni
#define LW_KERNEL_S2 lw_depthwise_5x5s2__avx512vnni
void LW_KERNEL_S1(const void *args);
void LW_KERNEL_S2(const void *args);
#include "depthwise_5x5.h"
