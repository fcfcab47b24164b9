// Gathers the input pixels under each tap of a convolution into the lines of a tile: im2col.
#include "lw_reference.h"

typedef struct {
  uint32_t ky, kx, quad;
} tap;

static void pack_line(const lw_pack_args *a, tap t, uint8_t *line /* [pixels][4] u8 */) {
  const uint8_t *plane = a->input + t.quad * a->input_stride;  // [height*width][4] u8
  uint32_t out_y = a->pixel_begin / a->output_width, out_x = a->pixel_begin % a->output_width;
  for (uint32_t p = 0; p < a->pixels; p++) {
    const int32_t y = lw_window_begin(out_y, a->stride_h, a->pad_top) + (int32_t)(t.ky * a->dilation_h);
    const int32_t x = lw_window_begin(out_x, a->stride_w, a->pad_left) + (int32_t)(t.kx * a->dilation_w);
    if (lw_inside(y, a->height) && lw_inside(x, a->width))
      __builtin_memcpy(line + p * LW_QUAD, plane + ((size_t)y * a->width + (size_t)x) * LW_QUAD, LW_QUAD);
    else
      __builtin_memset(line + p * LW_QUAD, a->zero_point, LW_QUAD);
    if (++out_x == a->output_width) {
      out_x = 0;
      out_y++;
    }
  }
  __builtin_memset(line + a->pixels * LW_QUAD, a->zero_point, a->tile_stride - a->pixels * LW_QUAD);
}

void lw_pack__scalar(const void *args) {
  const lw_pack_args *a = args;
  uint8_t *line = a->tile;
  tap t;
  for (t.ky = 0; t.ky < a->kernel_h; t.ky++)
    for (t.kx = 0; t.kx < a->kernel_w; t.kx++)
      for (t.quad = 0; t.quad < a->c4; t.quad++, line += a->tile_stride) pack_line(a, t, line);
}
