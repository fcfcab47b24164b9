// Depthwise 3x3 by four-tap dot products, four pixels a step. The bytes of four input rows are put side by side, so
// that one product sums a column of taps for four channels. Stride 1 gets two output rows from rows 0 to 3: they see
// them through their own weights, (w0, w1, w2, 0) and (0, w0, w1, w2). Include after defining
//   LW_TARGET         the function attribute
//   LW_DOT(s, u, w)   s + the dot products of [4] u7 with [4] s8
//   LW_KERNEL_STRIDE  1 or 2
//   LW_KERNEL         the name of the kernel
#include "depthwise.h"

enum { STRIDE = LW_KERNEL_STRIDE, ROWS = STRIDE == 1 ? 2 : 1 };

typedef struct {
  v_u8 weights[ROWS][3];  // [output row][column of taps], each [4 channels][4 input rows] s8
  output_step output;
} depthwise_filter;

// Four pixels, each [4 channels][4 rows].
typedef struct {
  v_u8 pixel[LW_VECTOR_PIXELS];
} columns;

LW_INLINE columns interleaved(v_u8 r0, v_u8 r1, v_u8 r2, v_u8 r3) {
  const v_u8 low01 = zip_low_u8(r0, r1), low23 = zip_low_u8(r2, r3);
  const v_u8 high01 = zip_high_u8(r0, r1), high23 = zip_high_u8(r2, r3);
  return (columns){{zip_low_u16(low01, low23), zip_high_u16(low01, low23), zip_low_u16(high01, high23),
                    zip_high_u16(high01, high23)}};
}

LW_INLINE LW_TARGET v_i32 dot_3(v_u8 v0, v_u8 v1, v_u8 v2, const v_u8 w[3], v_i32 bias) {
  return LW_DOT(LW_DOT(LW_DOT(bias, v0, w[0]), v1, w[1]), v2, w[2]);
}

#if LW_KERNEL_STRIDE == 1

// The columns that four output pixels begin with.
typedef columns step_columns;

LW_INLINE step_columns load_columns(const uint8_t *const row[4], uint32_t x) {
  const size_t at = (size_t)x * LW_QUAD;
  return interleaved(load_u8(row[0] + at), load_u8(row[1] + at), load_u8(row[2] + at), load_u8(row[3] + at));
}

LW_INLINE LW_TARGET v_u8 four_pixels(const step_columns *c, const step_columns *next, const v_u8 w[3],
                                     const output_step *o) {
  const v_u8 *v = c->pixel;
  const v_i32 sum[4] = {dot_3(v[0], v[1], v[2], w, o->bias), dot_3(v[1], v[2], v[3], w, o->bias),
                        dot_3(v[2], v[3], next->pixel[0], w, o->bias),
                        dot_3(v[3], next->pixel[0], next->pixel[1], w, o->bias)};
  return requantized(sum, o);
}

#else

typedef struct {
  columns even, odd;
} step_columns;

LW_INLINE step_columns load_columns(const uint8_t *const row[4], uint32_t x) {
  const size_t at = (size_t)x * 2 * LW_QUAD;
  const v_split r0 = load_split(row[0] + at), r1 = load_split(row[1] + at), r2 = load_split(row[2] + at);
  const v_u8 none = splat_u8(0);
  return (step_columns){interleaved(r0.even, r1.even, r2.even, none), interleaved(r0.odd, r1.odd, r2.odd, none)};
}

LW_INLINE LW_TARGET v_u8 four_pixels(const step_columns *c, const step_columns *next, const v_u8 w[3],
                                     const output_step *o) {
  const v_u8 *even = c->even.pixel, *odd = c->odd.pixel;
  const v_i32 sum[4] = {dot_3(even[0], odd[0], even[1], w, o->bias), dot_3(even[1], odd[1], even[2], w, o->bias),
                        dot_3(even[2], odd[2], even[3], w, o->bias),
                        dot_3(even[3], odd[3], next->even.pixel[0], w, o->bias)};
  return requantized(sum, o);
}

#endif

// rows: output rows, one below the other.
LW_INLINE LW_TARGET void compute_row(const depthwise_filter *f, const uint8_t *lines, size_t line_stride,
                                     uint8_t *output, uint32_t width, int rows) {
  const uint8_t *last = lines + (rows == 2 ? 3 : 2) * line_stride;  // a row that the weights ignore if rows is 1
  const uint8_t *const row[4] = {lines, lines + line_stride, lines + 2 * line_stride, last};
  step_columns now = load_columns(row, 0);
  for (uint32_t x = 0;;) {
    const step_columns next = load_columns(row, x + LW_VECTOR_PIXELS);
    LW_UNROLLED
    for (int r = 0; r < rows; r++)
      store_u8(output + ((size_t)r * width + x) * LW_QUAD, four_pixels(&now, &next, f->weights[r], &f->output));
    if (x + LW_VECTOR_PIXELS >= width) return;
    const uint32_t after = next_four(x, width);
    now = after == x + LW_VECTOR_PIXELS ? next : load_columns(row, after);
    x = after;
  }
}

#define COMPUTE(name, rows)                                                                                          \
  static LW_TARGET void name(const void *filter, const uint8_t *lines, size_t line_stride, uint8_t *output,          \
                             uint32_t width, uint32_t times) {                                                       \
    const depthwise_filter f = *(const depthwise_filter *)filter; /* in registers: stores of bytes could alter it */ \
    for (; times; times--, lines += rows * STRIDE * line_stride, output += rows * (size_t)width * LW_QUAD)           \
      compute_row(&f, lines, line_stride, output, width, rows);                                                      \
  }
COMPUTE(depthwise_row, 1)
#if LW_KERNEL_STRIDE == 1
COMPUTE(depthwise_two_rows, 2)
static const line_rows compute[ROWS] = {depthwise_row, depthwise_two_rows};
#else
static const line_rows compute[ROWS] = {depthwise_row};
#endif

void LW_KERNEL(const void *args);

LW_TARGET void LW_KERNEL(const void *args) {
  const lw_depthwise_args *a = args;
  const uint8_t *w = (const uint8_t *)a->weights;  // [9][4] s8
  const v_u8 none = splat_u8(0);
  depthwise_filter f;
  LW_UNROLLED
  for (int x = 0; x < 3; x++) {
    const v_u8 w0 = load_pixel(w + x * 4), w1 = load_pixel(w + 12 + x * 4), w2 = load_pixel(w + 24 + x * 4);
    f.weights[0][x] = interleaved(w0, w1, w2, none).pixel[0];
    if (ROWS == 2) f.weights[ROWS - 1][x] = interleaved(none, w0, w1, w2).pixel[0];
  }
  f.output = output_step_of(a);
  LW_DEPTHWISE_LINES(a, ROWS, compute, &f);
}
