// Four-tap dot products in one instruction: SDOT.
#ifndef LW_DOTPROD_H
#define LW_DOTPROD_H

#include "vector128.h"

#define LW_TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#define LW_DOT(sum, u7, s8, none) vdotq_s32(sum, vreinterpretq_s8_u8(u7), vreinterpretq_s8_u8(s8))

#define LW_DOT_CONSTANT() splat_u8(0)  // none

#endif
