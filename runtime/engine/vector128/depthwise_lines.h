// Runs a depthwise kernel over padded lines.
//
// Input rows are first copied into lines of scratch whose ends hold the zero point, so that the inner loops know no
// border. Only then do they compute: a line that was just written cannot be forwarded to unaligned loads.
#include "depthwise.h"
#include "pixels.h"

void lw_depthwise__scalar(const void *args);

// How output turns into lines: line i of a chunk is one padded input row of left + body + right pixels.
typedef struct {
  size_t left, body, right;  // pixels; only body comes from the image
  size_t stride;             // bytes between lines, with room for what the last step reads past the pixels
  uint32_t rows;             // output rows whose input fits the scratch
} line_plan;

static line_plan plan_lines(const lw_depthwise_args *a, uint32_t most_rows) {
  const size_t outputs = lw_ceil_div(a->output_width, LW_VECTOR_PIXELS) * LW_VECTOR_PIXELS;
  const size_t room = (outputs - 1) * a->stride_w + a->kernel_w + 2 * LW_VECTOR_PIXELS;
  const size_t pixels = ((size_t)a->output_width - 1) * a->stride_w + a->kernel_w;
  line_plan p = {.left = a->pad_left < pixels ? a->pad_left : pixels};
  p.body = a->width < pixels - p.left ? a->width : pixels - p.left;
  p.right = pixels - p.left - p.body;
  p.stride = lw_ceil_div(room, LW_VECTOR_PIXELS) * LW_VECTOR_BYTES;
  const size_t lines = a->scratch_bytes / p.stride;
  if (lines >= a->kernel_h) p.rows = (uint32_t)((lines - a->kernel_h) / a->stride_h + 1);
  if (p.rows > most_rows) p.rows -= p.rows % most_rows;
  return p;
}

// Lines of the input rows from `top` on. What a fill writes too much goes before the row is copied, or behind the line.
static void write_lines(const lw_depthwise_args *a, line_plan p, int32_t top, uint32_t lines) {
  const v_u8 zero = splat_u8(a->zero_point);
  const size_t row_bytes = (size_t)a->width * LW_QUAD, body_bytes = p.body * LW_QUAD;
  const uint32_t height = a->height;
  const uint8_t *input = a->input;
  uint8_t *line = a->scratch;
  for (uint32_t i = 0; i < lines; i++, line += p.stride) {
    const uint32_t y = (uint32_t)top + i;  // a row above the image is a large number
    if (y >= height) {
      fill_pixels(line, p.left + p.body + p.right, zero);
      continue;
    }
    fill_pixels(line, p.left, zero);
    fill_pixels(line + p.left * LW_QUAD + body_bytes, p.right, zero);
    copy_pixels(line + p.left * LW_QUAD, input + y * row_bytes, body_bytes);
  }
}

// A row of less than four pixels is computed as four beside its place: the next row may belong to another thread.
static void narrow_row(line_rows compute, const void *filter, const uint8_t *lines, size_t line_stride, uint8_t *output,
                       uint32_t width) {
  uint8_t wide[LW_VECTOR_BYTES];
  compute(filter, lines, line_stride, wide, LW_VECTOR_PIXELS, 1);
  for (uint32_t x = 0; x < width; x++) __builtin_memcpy(output + x * LW_QUAD, wide + x * LW_QUAD, LW_QUAD);
}

static void compute_lines(const lw_depthwise_args *a, size_t line_stride, uint8_t *output, uint32_t rows,
                          uint32_t most_rows, const line_rows *compute, const void *filter) {
  const size_t row_bytes = (size_t)a->output_width * LW_QUAD, row_lines = a->stride_h * line_stride;  // bytes
  if (a->output_width < LW_VECTOR_PIXELS) {
    for (uint32_t r = 0; r < rows; r++)
      narrow_row(compute[0], filter, a->scratch + r * row_lines, line_stride, output + r * row_bytes, a->output_width);
    return;
  }
  const uint32_t rest = rows % most_rows, done = rows - rest;
  if (done) compute[most_rows - 1](filter, a->scratch, line_stride, output, a->output_width, done / most_rows);
  if (rest)
    compute[rest - 1](filter, a->scratch + done * row_lines, line_stride, output + done * row_bytes, a->output_width,
                      1);
}

void LW_KERNEL(const lw_depthwise_args *a, uint32_t most_rows, const line_rows *compute, const void *filter) {
  const line_plan plan = plan_lines(a, most_rows);
  if (plan.rows == 0) {  // padding so wide that not one window of lines fits
    lw_depthwise__scalar(a);
    return;
  }
  for (uint32_t y = a->row_begin; y < a->row_end; y += plan.rows) {
    const uint32_t rows = a->row_end - y < plan.rows ? a->row_end - y : plan.rows;
    write_lines(a, plan, (int32_t)(y * a->stride_h) - (int32_t)a->pad_top, (rows - 1) * a->stride_h + a->kernel_h);
    uint8_t *output = a->output + (size_t)(y - a->row_begin) * a->output_width * LW_QUAD;
    compute_lines(a, plan.stride, output, rows, most_rows, compute, filter);
  }
}
