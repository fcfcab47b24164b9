// A row of kept blocks as the tiers' inner loops read it.
#ifndef LW_GEMM_BLOCKS_H
#define LW_GEMM_BLOCKS_H

#include <arm_neon.h>
#include <string.h>

#include "lw_kernel.h"

#define LW_TEMPLATE static inline __attribute__((always_inline)) LW_TARGET
#define LW_PRAGMA(text) _Pragma(#text)
#define LW_UNROLL(n) LW_PRAGMA(GCC unroll n)

#define MAX_SUMS 16     // registers of sums in a micro tile
#define MAX_VECTORS 16  // registers of pixels in a micro tile

typedef struct {
  const uint8_t *tile;  // first line, at the micro tile's first pixel
  size_t tile_stride;
  const int8_t *weights;  // first kept block, at the first of the micro tile's channels
  const uint16_t *index;  // [count], NULL when dense
  uint32_t count;         // kept blocks
} block_list;

LW_TEMPLATE const uint8_t *line_of(const block_list *b, size_t i, const int sparse) {
  return b->tile + (sparse ? b->index[i] : i) * b->tile_stride;
}

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
