// Depthwise 3x3, stride 2, AVX512-VNNI in 256-bit registers: most rows of a network are shorter than 32 pixels.
#include "x86.h"

#define LW_TARGET LW_TARGET_AVX512VNNI
#define LW_DOT(sum, u8, s8) _mm256_dpbusd_epi32(sum, u8, s8)
#define LW_KERNEL lw_depthwise_3x3s2__avx512vnni
void LW_KERNEL(const void *args);
#include "depthwise_3x3s2_dot.h"
