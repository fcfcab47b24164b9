// Depthwise 3x3 by four-tap dot products, four pixels a step. The bytes of four input rows are put side by side, so
// that one product sums a column of taps for four channels. Stride 1 gets two output rows from rows 0 to 3: they see
// them through their own weights, (w0, w1, w2, 0) and (0, w0, w1, w2). Include after defining
//   LW_TARGET         the function attribute
//   LW_DOT(s, u, w, k) s + the dot products of [4] u7 with [4] s8; k: LW_DOT_CONSTANT()
//   LW_DOT_CONSTANT() what the products want kept in a register, [8] i16
//   LW_KERNEL_STRIDE  1 or 2
//   LW_KERNEL         the name of the kernel
//   LW_IN_PLACE       where more code is no matter
// With LW_IN_PLACE, usual padding needs no copy of the input: the columns of a step stay in registers, where one of
// zero points takes the place of a column outside the image, and a line of them that of a row. Other windows read
// padded lines.
#include "depthwise.h"
#include "pixels.h"

enum { STRIDE = LW_KERNEL_STRIDE, ROWS = STRIDE == 1 ? 2 : 1 };

typedef struct {
  v_u8 weights[ROWS][3];  // [output row][column of taps], each [4 channels][4 input rows] s8
  v_u8 constant;          // of the products
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

LW_INLINE LW_TARGET v_i32 dot_3(const v_u8 v[3], const v_u8 w[3], const depthwise_filter *f) {
  const v_i32 first = LW_DOT(f->output.bias, v[0], w[0], f->constant);
  return LW_DOT(LW_DOT(first, v[1], w[1], f->constant), v[2], w[2], f->constant);
}

#if LW_KERNEL_STRIDE == 1

// The columns that four output pixels begin with.
typedef columns step_columns;

LW_INLINE step_columns load_columns(const uint8_t *const row[4], uint32_t x) {
  const size_t at = (size_t)x * LW_QUAD;
  return interleaved(load_u8(row[0] + at), load_u8(row[1] + at), load_u8(row[2] + at), load_u8(row[3] + at));
}

// What four output pixels see.
typedef struct {
  v_u8 column[LW_VECTOR_PIXELS + 2];
} step_window;

LW_INLINE step_window window_of(const step_columns *c, const step_columns *next) {
  const v_u8 *v = c->pixel;
  return (step_window){{v[0], v[1], v[2], v[3], next->pixel[0], next->pixel[1]}};
}

LW_INLINE step_window padded_window(v_u8 before, const step_columns *c, v_u8 after, int pad) {
  (void)pad;  // 1
  const v_u8 *v = c->pixel;
  return (step_window){{before, v[0], v[1], v[2], v[3], after}};
}

LW_INLINE v_u8 last_column(const step_columns *c) { return c->pixel[3]; }
LW_INLINE v_u8 first_column(const step_columns *c) { return c->pixel[0]; }

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

// What four output pixels see.
typedef struct {
  v_u8 column[2 * LW_VECTOR_PIXELS + 1];
} step_window;

LW_INLINE step_window padded_window(v_u8 before, const step_columns *c, v_u8 after, int pad) {
  const v_u8 *e = c->even.pixel, *o = c->odd.pixel;
  if (pad) return (step_window){{before, e[0], o[0], e[1], o[1], e[2], o[2], e[3], o[3]}};
  return (step_window){{e[0], o[0], e[1], o[1], e[2], o[2], e[3], o[3], after}};
}

LW_INLINE step_window window_of(const step_columns *c, const step_columns *next) {
  return padded_window(next->even.pixel[0], c, next->even.pixel[0], 0);
}

LW_INLINE v_u8 last_column(const step_columns *c) { return c->odd.pixel[3]; }
LW_INLINE v_u8 first_column(const step_columns *c) { return c->even.pixel[0]; }

#endif

LW_INLINE LW_TARGET v_u8 four_pixels(step_window seen, const depthwise_filter *f, int row) {
  v_i32 sum[4];
  LW_UNROLLED
  for (int i = 0; i < 4; i++) sum[i] = dot_3(seen.column + i * STRIDE, f->weights[row], f);
  return requantized(sum, &f->output);
}

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
      store_u8(output + ((size_t)r * width + x) * LW_QUAD, four_pixels(window_of(&now, &next), f, r));
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
#if LW_KERNEL_STRIDE == 1 && !defined(LW_IN_PLACE)
COMPUTE(depthwise_two_rows, 2)
static const line_rows compute[] = {depthwise_row, depthwise_two_rows};
#else
static const line_rows compute[] = {depthwise_row};
#endif

#ifdef LW_IN_PLACE

// Column x of four rows.
LW_INLINE v_u8 load_column(const uint8_t *const row[4], uint32_t x) {
  const size_t at = (size_t)x * LW_QUAD;
  const v_u8 r0 = load_pixel(row[0] + at), r1 = load_pixel(row[1] + at);
  return interleaved(r0, r1, load_pixel(row[2] + at), load_pixel(row[3] + at)).pixel[0];
}

// As much of a window as lies in the image: its rows, or a line of zero points.
typedef struct {
  const uint8_t *input, *border;
  size_t row_bytes;
  uint32_t height;
} image_rows;

LW_INLINE void rows_at(const image_rows *image, uint32_t top, const uint8_t *row[4]) {
  LW_UNROLLED
  for (uint32_t i = 0; i < 4; i++)  // a row above the image is a large number
    row[i] = top + i < image->height ? image->input + (size_t)(top + i) * image->row_bytes : image->border;
}

// One row of steps in place. width: of the output; columns: of the input, at least width * STRIDE.
LW_INLINE LW_TARGET void compute_in_place(const depthwise_filter *f, const uint8_t *const row[4],
                                          uint8_t *const output[ROWS], uint32_t width, uint32_t columns_in, v_u8 border,
                                          int pad) {
  v_u8 before = border;
  step_columns now = load_columns(row, 0);
  for (uint32_t x = 0;;) {
    const uint32_t then = x + LW_VECTOR_PIXELS;
    const int whole = then + LW_VECTOR_PIXELS <= width;  // four more pixels
    step_columns next = now;
    v_u8 after = border;
    if (whole) {
      next = load_columns(row, then);
      after = first_column(&next);
    } else if (then * STRIDE < columns_in) {
      after = load_column(row, then * STRIDE);
    }
    const step_window seen = padded_window(before, &now, after, pad);
    LW_UNROLLED
    for (int r = 0; r < ROWS; r++) store_u8(output[r] + (size_t)x * LW_QUAD, four_pixels(seen, f, r));
    if (then >= width) return;
    if (whole) {
      before = last_column(&now);
      now = next;
      x = then;
    } else {
      x = width - LW_VECTOR_PIXELS;
      before = load_column(row, x * STRIDE - 1);
      now = load_columns(row, x);
    }
  }
}

// A last row without a partner is computed with one that nobody needs.
#define IN_PLACE(name, pad)                                                                                \
  static LW_TARGET void name(const lw_depthwise_args *a, const depthwise_filter *filter) {                 \
    const depthwise_filter f = *filter; /* in registers: stores of bytes could alter it */                 \
    const v_u8 border = splat_u8(a->zero_point);                                                           \
    const image_rows image = {a->input, a->scratch, (size_t)a->width * LW_QUAD, a->height};                \
    const size_t output_bytes = (size_t)a->output_width * LW_QUAD;                                         \
    const uint32_t width = a->output_width, columns_in = a->width, pad_top = a->pad_top, end = a->row_end; \
    uint8_t *const spare = a->scratch + image.row_bytes + LW_VECTOR_BYTES;                                 \
    fill_pixels(a->scratch, columns_in, border);                                                           \
    uint8_t *output = a->output;                                                                           \
    for (uint32_t y = a->row_begin; y < end; y += ROWS, output += ROWS * output_bytes) {                   \
      const uint8_t *row[4];                                                                               \
      uint8_t *const to[2] = {output, y + 1 < end ? output + output_bytes : spare};                        \
      rows_at(&image, y * STRIDE - pad_top, row);                                                          \
      compute_in_place(&f, row, to, width, columns_in, border, pad);                                       \
    }                                                                                                      \
  }
#if LW_KERNEL_STRIDE == 2
IN_PLACE(depthwise_in_place, 0)
#endif
IN_PLACE(depthwise_in_place_padded, 1)

// Whether the columns of every step lie in the image, but for one before or behind the row.
LW_INLINE LW_TARGET int computed_in_place(const lw_depthwise_args *a, const depthwise_filter *f) {
  if (a->output_width < LW_VECTOR_PIXELS || a->width < a->output_width * STRIDE) return 0;
  if (a->pad_left == 1) {
    depthwise_in_place_padded(a, f);
    return 1;
  }
#if LW_KERNEL_STRIDE == 2
  if (a->pad_left == 0) {
    depthwise_in_place(a, f);
    return 1;
  }
#endif
  return 0;
}

#else
#define computed_in_place(args, filter) 0
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
  f.constant = LW_DOT_CONSTANT();
  f.output = output_step_of(a);
  if (!computed_in_place(a, &f)) LW_DEPTHWISE_LINES(a, sizeof compute / sizeof compute[0], compute, &f);
}
