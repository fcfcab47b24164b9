// Depthwise convolution: one filter per channel, four channels at a time.
#include "lw_reference.h"

static void add_tap(const lw_depthwise_args *a, int32_t y, int32_t x, const int8_t *w, int32_t *sum /* [4] */) {
  const int inside = lw_inside(y, a->height) && lw_inside(x, a->width);
  const uint8_t *q = inside ? a->input + ((size_t)y * a->width + (size_t)x) * LW_QUAD : NULL;  // [4] u8
  for (uint32_t c = 0; c < LW_QUAD; c++) sum[c] += (q ? q[c] : a->zero_point) * w[c];
}

static void depthwise_pixel(const lw_depthwise_args *a, uint32_t out_y, uint32_t out_x, uint8_t *out /* [4] */) {
  const int32_t y0 = lw_window_begin(out_y, a->stride_h, a->pad_top);
  const int32_t x0 = lw_window_begin(out_x, a->stride_w, a->pad_left);
  const int8_t *w = a->weights;
  int32_t sum[LW_QUAD];
  for (uint32_t c = 0; c < LW_QUAD; c++) sum[c] = a->bias[c];
  for (uint32_t ky = 0; ky < a->kernel_h; ky++)
    for (uint32_t kx = 0; kx < a->kernel_w; kx++, w += LW_QUAD)
      add_tap(a, y0 + (int32_t)(ky * a->dilation_h), x0 + (int32_t)(kx * a->dilation_w), w, sum);
  for (uint32_t c = 0; c < LW_QUAD; c++) out[c] = lw_requantize(sum[c], a->scale[c], &a->requant);
}

void lw_depthwise__scalar(const void *args) {
  const lw_depthwise_args *a = args;
  uint8_t *out = a->output;
  for (uint32_t y = a->row_begin; y < a->row_end; y++)
    for (uint32_t x = 0; x < a->output_width; x++, out += LW_QUAD) depthwise_pixel(a, y, x, out);
}
