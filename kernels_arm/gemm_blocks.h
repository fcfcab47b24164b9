// What the products of all tiers are written with.
#ifndef LW_GEMM_BLOCKS_H
#define LW_GEMM_BLOCKS_H

#include <arm_neon.h>

#include "lw_kernel.h"

#define LW_TEMPLATE static inline __attribute__((always_inline)) LW_TARGET
#define LW_PRAGMA(text) _Pragma(#text)
#define LW_UNROLL(n) LW_PRAGMA(GCC unroll n)

#define MAX_SUMS 16     // registers of sums in a micro tile
#define MAX_VECTORS 16  // registers of pixels in a micro tile

// `later` is computed after `earlier`, without an instruction: left alone, compilers start more products than there are
// registers, and spill.
#define LW_AFTER(later, earlier0, earlier1) __asm__("" : "+w"(later) : "w"(earlier0), "w"(earlier1))

// `pointer` as it is now is what later ones count from: left alone, compilers count from where a loop's turn began, and
// spend an instruction on each load that could have stepped on by itself.
#define LW_STEPPED(pointer) __asm__("" : "+r"(pointer))

// Registers of four pixels; u7 are valid as signed bytes.
LW_TEMPLATE void load_pixels(const uint8_t *line, int8x16_t *pixels /* [vectors] */, const int vectors) {
  if (vectors == 4) {
    const int8x16x4_t four = vld1q_s8_x4((const int8_t *)line);
    pixels[0] = four.val[0], pixels[1] = four.val[1], pixels[2] = four.val[2], pixels[3] = four.val[3];
  } else if (vectors == 2) {
    const int8x16x2_t two = vld1q_s8_x2((const int8_t *)line);
    pixels[0] = two.val[0], pixels[1] = two.val[1];
  } else {
    pixels[0] = vld1q_s8((const int8_t *)line);
  }
}

#endif
