// Runs a depthwise kernel over padded lines.
//
// Input rows are first copied into lines of scratch whose ends hold the zero point, so that the inner loops know no
// border. Only then do they compute: a line that was just written cannot be forwarded to unaligned loads.
#include "depthwise.h"

void lw_depthwise__scalar(const void *args);

// How output turns into lines: line i of a chunk is one padded input row.
typedef struct {
  size_t columns;  // of input that the outputs of one row read, padding included
  size_t stride;   // bytes between lines, with room for what the last step reads past the columns
  uint32_t rows;   // output rows whose input fits the scratch
} line_plan;

static inline line_plan plan_lines(const lw_depthwise_args *a, uint32_t step) {
  const size_t outputs = lw_ceil_div(a->output_width, LW_VECTOR_PIXELS) * LW_VECTOR_PIXELS;
  const size_t pixels = (outputs - 1) * a->stride_w + a->kernel_w + 2 * LW_VECTOR_PIXELS;
  line_plan plan = {((size_t)a->output_width - 1) * a->stride_w + a->kernel_w,
                    lw_ceil_div(pixels, LW_VECTOR_PIXELS) * LW_VECTOR_BYTES, 0};
  const size_t lines = a->scratch_bytes / plan.stride;
  if (lines >= a->kernel_h) plan.rows = (uint32_t)((lines - a->kernel_h) / a->stride_h + 1);
  if (plan.rows > step) plan.rows -= plan.rows % step;
  return plan;
}

// Exactly `bytes`, a multiple of 4: the last row of a plane has nothing readable behind it.
LW_INLINE void copy_pixels(uint8_t *to, const uint8_t *from, size_t bytes) {
  if (bytes >= LW_VECTOR_BYTES) {
    const size_t last = bytes - LW_VECTOR_BYTES;
    for (size_t i = 0; i < last; i += LW_VECTOR_BYTES) store_u8(to + i, load_u8(from + i));
    store_u8(to + last, load_u8(from + last));
  } else {
    for (size_t i = 0; i < bytes; i += LW_QUAD) __builtin_memcpy(to + i, from + i, LW_QUAD);
  }
}

// Both ends are set by whole vectors before the row goes in between; the line has room for what they write too much.
LW_INLINE void write_line(const lw_depthwise_args *a, int32_t y, size_t columns, uint8_t *line /* [columns][4] u8 */) {
  const v_u8 zero = splat_u8(a->zero_point);
  const int outside = y < 0 || (uint32_t)y >= a->height || a->pad_left >= columns;
  const size_t left = outside ? columns : a->pad_left;
  const size_t body = outside ? 0 : a->width < columns - left ? a->width : columns - left;
  for (size_t i = 0; i < left; i += LW_VECTOR_PIXELS) store_u8(line + i * LW_QUAD, zero);
  for (size_t i = left + body; i < columns; i += LW_VECTOR_PIXELS) store_u8(line + i * LW_QUAD, zero);
  if (body) copy_pixels(line + left * LW_QUAD, a->input + (size_t)y * a->width * LW_QUAD, body * LW_QUAD);
}

// Rows of less than four pixels are computed as four beside their place: the next row may belong to another thread.
static void narrow_rows(line_rows compute, const void *filter, const uint8_t *lines, size_t line_stride,
                        uint8_t *output, uint32_t width, uint32_t rows) {
  uint8_t wide[2 * LW_VECTOR_BYTES];
  compute(filter, lines, line_stride, wide, LW_VECTOR_BYTES, LW_VECTOR_PIXELS);
  for (uint32_t r = 0; r < rows; r++)
    for (uint32_t x = 0; x < width; x++)
      __builtin_memcpy(output + (r * width + x) * LW_QUAD, wide + r * LW_VECTOR_BYTES + x * LW_QUAD, LW_QUAD);
}

void LW_KERNEL(const lw_depthwise_args *a, uint32_t most_rows, const line_rows *compute, const void *filter) {
  const line_plan plan = plan_lines(a, most_rows);
  const uint32_t width = a->output_width;
  if (plan.rows == 0) {  // padding so wide that not one window of lines fits
    lw_depthwise__scalar(a);
    return;
  }
  for (uint32_t y = a->row_begin; y < a->row_end; y += plan.rows) {
    const uint32_t rows = a->row_end - y < plan.rows ? a->row_end - y : plan.rows;
    const uint32_t lines = (rows - 1) * a->stride_h + a->kernel_h;
    const int32_t top = (int32_t)(y * a->stride_h) - (int32_t)a->pad_top;
    for (uint32_t i = 0; i < lines; i++) write_line(a, top + (int32_t)i, plan.columns, a->scratch + i * plan.stride);
    for (uint32_t r = 0; r < rows; r += most_rows) {
      const uint32_t at_once = rows - r < most_rows ? rows - r : most_rows;
      const uint8_t *first = a->scratch + (size_t)r * a->stride_h * plan.stride;
      uint8_t *output = a->output + (size_t)(y + r) * width * LW_QUAD;
      if (width < LW_VECTOR_PIXELS)
        narrow_rows(compute[at_once - 1], filter, first, plan.stride, output, width, at_once);
      else
        compute[at_once - 1](filter, first, plan.stride, output, (size_t)width * LW_QUAD, width);
    }
  }
}
