// Average and max pooling, four channels at a time. Taps outside the image count for nothing.
#include "lw_reference.h"

typedef struct {
  uint32_t y_begin, y_end, x_begin, x_end;  // the window's part inside the image, never empty
} window;

static uint32_t at_least_0(int32_t position) { return position < 0 ? 0 : (uint32_t)position; }
static uint32_t at_most(int32_t position, uint32_t size) {
  return lw_inside(position, size) ? (uint32_t)position : size;
}

static window window_of(const lw_pool_args *a, uint32_t out_y, uint32_t out_x) {
  const int32_t y = lw_window_begin(out_y, a->stride_h, a->pad_top);
  const int32_t x = lw_window_begin(out_x, a->stride_w, a->pad_left);
  const window w = {at_least_0(y), at_most(y + (int32_t)a->kernel_h, a->height), at_least_0(x),
                    at_most(x + (int32_t)a->kernel_w, a->width)};
  return w;
}

typedef struct {
  int32_t of[LW_QUAD];
} quad_sum;

static quad_sum sum_of(const lw_pool_args *a, window w) {
  quad_sum sum = {{0}};
  for (uint32_t y = w.y_begin; y < w.y_end; y++) {
    const uint8_t *row = a->input + (size_t)y * a->width * LW_QUAD;  // [width][4] u8
    for (uint32_t x = w.x_begin; x < w.x_end; x++)
      for (uint32_t c = 0; c < LW_QUAD; c++) sum.of[c] += row[(size_t)x * LW_QUAD + c] - a->zero_point;
  }
  return sum;
}

static float multiplier_of(const lw_pool_args *a, window w) {
  const uint32_t count = (w.y_end - w.y_begin) * (w.x_end - w.x_begin);
  return a->multipliers[a->multiplier_count == 1 ? 0 : count - 1];
}

static void average(const lw_pool_args *a, window w, uint8_t *out /* [4] */) {
  const quad_sum sum = sum_of(a, w);
  const float multiplier = multiplier_of(a, w);
  for (uint32_t c = 0; c < LW_QUAD; c++) out[c] = lw_requantize(sum.of[c], multiplier, &a->requant);
}

static void largest(const lw_pool_args *a, window w, uint8_t *out /* [4] */) {
  uint8_t most[LW_QUAD] = {0};
  for (uint32_t y = w.y_begin; y < w.y_end; y++) {
    const uint8_t *row = a->input + (size_t)y * a->width * LW_QUAD;  // [width][4] u8
    for (uint32_t x = w.x_begin; x < w.x_end; x++)
      for (uint32_t c = 0; c < LW_QUAD; c++)
        if (row[(size_t)x * LW_QUAD + c] > most[c]) most[c] = row[(size_t)x * LW_QUAD + c];
  }
  __builtin_memcpy(out, most, LW_QUAD);
}

static void pool(const lw_pool_args *a, void (*reduce)(const lw_pool_args *, window, uint8_t *)) {
  uint8_t *out = a->output + (size_t)a->row_begin * a->output_width * LW_QUAD;
  for (uint32_t y = a->row_begin; y < a->row_end; y++)
    for (uint32_t x = 0; x < a->output_width; x++, out += LW_QUAD) reduce(a, window_of(a, y, x), out);
}

void lw_avg_pool__scalar(const void *args) { pool(args, average); }
void lw_max_pool__scalar(const void *args) { pool(args, largest); }

void lw_avg_pool_f32(const lw_pool_args *a, uint32_t channels, float *output) {
  const size_t pixels = (size_t)a->output_height * a->output_width;
  for (uint32_t y = a->row_begin; y < a->row_end; y++)
    for (uint32_t x = 0; x < a->output_width; x++) {
      const window w = window_of(a, y, x);
      const quad_sum sum = sum_of(a, w);
      const float multiplier = multiplier_of(a, w);
      float *out = output + (size_t)y * a->output_width + x;
      for (uint32_t c = 0; c < channels; c++) out[c * pixels] = (float)sum.of[c] * multiplier;
    }
}
