// Depthwise 3x3, stride 2, AVX-VNNI: one instruction per four taps.
#include "x86.h"

#define LW_TARGET LW_TARGET_AVXVNNI
#define LW_DOT(sum, u8, s8) _mm256_dpbusd_avx_epi32(sum, u8, s8)
#define LW_KERNEL lw_depthwise_3x3s2__avxvnni
void LW_KERNEL(const void *args);
#include "depthwise_3x3s2_dot.h"
