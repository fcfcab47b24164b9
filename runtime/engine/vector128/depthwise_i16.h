// Depthwise KxK by products in i16, four pixels a step. The products of two taps always fit i16 (2 * 127 * 127 < 2^15);
// where those of a whole row of taps do as well, a row is widened to i32 at once. Stride 1 computes two output rows
// from the same loaded taps. Include after defining LW_KERNEL_SIZE (K), LW_KERNEL_STRIDE (1 or 2) and LW_KERNEL, the
// name.
#include "depthwise.h"

enum { SIZE = LW_KERNEL_SIZE, STRIDE = LW_KERNEL_STRIDE, TAPS = SIZE * SIZE, PAIRS = 2 };

typedef struct {
  v_weights weights[TAPS];
  output_step output;
} depthwise_filter;

// The taps of one input row for four output pixels.
LW_INLINE void load_row(const uint8_t *p, v_taps t[SIZE]) {
  if (STRIDE == 1) {
    LW_UNROLLED
    for (int x = 0; x < SIZE; x++) t[x] = load_taps(p + x * (int)LW_QUAD);
    return;
  }
  LW_UNROLLED
  for (int x = 0; x < SIZE; x += 2) {
    const v_split both = load_split(p + x * (int)LW_QUAD);
    t[x] = taps_of(both.even);
    if (x + 1 < SIZE) t[x + 1] = taps_of(both.odd);
  }
}

// Adds up one output row of four pixels: `chain` taps in i16, then in i32, two chains at once.
typedef struct {
  v_sums16 chain, before;  // that was completed last, and waits for a second one
  v_i32 sum[4];            // per pixel, [4 channels]
} row_sums;

LW_INLINE void add_tap(row_sums *s, int tap, v_taps t, v_weights w, int chain) {
  s->chain = tap % chain == 0 ? multiply(t, w) : multiply_add(s->chain, t, w);
  const int second = tap / chain % 2, last = tap == TAPS - 1;
  if (tap % chain != chain - 1 && !last) return;
  if (second)
    add_two_sums16(s->sum, s->before, s->chain);
  else if (last)
    add_sums16(s->sum, s->chain);
  else
    s->before = s->chain;
}

// rows: output rows, one below the other.
LW_INLINE void four_pixels(const depthwise_filter *f, const uint8_t *lines, size_t line_stride, int rows, int chain,
                           row_sums sums[2]) {
  LW_UNROLLED
  for (int y = 0; y < SIZE + rows - 1; y++, lines += line_stride) {
    v_taps t[SIZE];
    load_row(lines, t);
    LW_UNROLLED
    for (int r = 0; r < rows; r++) {
      const int first = (y - r) * SIZE;  // tap
      if (first < 0 || first >= TAPS) continue;
      LW_UNROLLED
      for (int x = 0; x < SIZE; x++) add_tap(&sums[r], first + x, t[x], f->weights[first + x], chain);
    }
  }
}

LW_INLINE void compute_row(const depthwise_filter *f, const uint8_t *lines, size_t line_stride, uint8_t *output,
                           uint32_t width, int rows, int chain) {
  for (uint32_t x = 0;; x = next_four(x, width)) {
    row_sums sums[2];
    LW_UNROLLED
    for (int i = 0; i < 4 * rows; i++) sums[i / 4].sum[i % 4] = f->output.bias;
    four_pixels(f, lines + (size_t)x * STRIDE * LW_QUAD, line_stride, rows, chain, sums);
    LW_UNROLLED
    for (int r = 0; r < rows; r++)
      store_u8(output + ((size_t)r * width + x) * LW_QUAD, requantized(sums[r].sum, &f->output));
    if (x + LW_VECTOR_PIXELS >= width) return;
  }
}

#define COMPUTE(name, rows, chain)                                                                                   \
  static void name(const void *filter, const uint8_t *lines, size_t line_stride, uint8_t *output, uint32_t width,    \
                   uint32_t times) {                                                                                 \
    const depthwise_filter f = *(const depthwise_filter *)filter; /* in registers: stores of bytes could alter it */ \
    for (; times; times--, lines += rows * STRIDE * line_stride, output += rows * (size_t)width * LW_QUAD)           \
      compute_row(&f, lines, line_stride, output, width, rows, chain);                                               \
  }
COMPUTE(depthwise_row_by_pairs, 1, PAIRS)

#ifdef LW_SMALL
static const line_rows by_pairs[] = {depthwise_row_by_pairs};
#define LW_CHOOSE(weights) by_pairs
#else
#if LW_KERNEL_STRIDE == 1
COMPUTE(depthwise_two_rows_by_pairs, 2, PAIRS)
COMPUTE(depthwise_two_rows, 2, SIZE)
static const line_rows by_pairs[] = {depthwise_row_by_pairs, depthwise_two_rows_by_pairs};
static const line_rows by_rows[] = {depthwise_row_by_pairs, depthwise_two_rows};
#else
COMPUTE(depthwise_row, 1, SIZE)
static const line_rows by_pairs[] = {depthwise_row_by_pairs};
static const line_rows by_rows[] = {depthwise_row};
#endif
#define LW_CHOOSE(weights) (rows_of_taps_fit(weights) ? by_rows : by_pairs)

LW_INLINE int rows_of_taps_fit(const v_weights w[TAPS]) {
  int all_fit = 1;
  LW_UNROLLED
  for (int y = 0; y < SIZE; y++) {
    v_range row = range_of(w[y * SIZE]);
    LW_UNROLLED
    for (int x = 1; x < SIZE; x++) row = range_add(row, w[y * SIZE + x]);
    all_fit &= range_fits(row);
  }
  return all_fit;
}

#endif

void LW_KERNEL(const void *args);

void LW_KERNEL(const void *args) {
  const lw_depthwise_args *a = args;
  depthwise_filter f;
  for (int i = 0; i < TAPS; i++) f.weights[i] = load_weights(a->weights + i * (int)LW_QUAD);
  f.output = output_step_of(a);
  LW_DEPTHWISE_LINES(a, sizeof by_pairs / sizeof by_pairs[0], LW_CHOOSE(f.weights), &f);
}
