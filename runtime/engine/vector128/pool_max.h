// Max pooling. Values are never negative, so a tap outside the image counts as 0. Windows wholly inside the image's
// columns are done four at a time for strides 1 and 2; border pixels and other strides one at a time.

void LW_KERNEL(max_pool)(const void *args);

typedef struct {
  const uint8_t *first;  // row of the window's first tap inside the image
  uint32_t count;        // rows inside
} row_span;

static inline row_span rows_of(const lw_pool_args *a, uint32_t y) {
  const int32_t begin = (int32_t)(y * a->stride_h) - (int32_t)a->pad_top, end = begin + (int32_t)a->kernel_h;
  const uint32_t first = begin < 0 ? 0 : (uint32_t)begin;
  const uint32_t last = (uint32_t)end < a->height ? (uint32_t)end : a->height;
  return (row_span){a->input + (size_t)first * a->width * LW_QUAD, last - first};
}

LW_INLINE void one_pixel(const lw_pool_args *a, row_span rows, uint32_t x, uint8_t *out /* [4] */) {
  const int32_t begin = (int32_t)(x * a->stride_w) - (int32_t)a->pad_left, end = begin + (int32_t)a->kernel_w;
  const uint32_t first = begin < 0 ? 0 : (uint32_t)begin;
  const uint32_t last = (uint32_t)end < a->width ? (uint32_t)end : a->width;
  v_u8 most = splat_u8(0);
  for (uint32_t r = 0; r < rows.count; r++)
    for (uint32_t i = first; i < last; i++)
      most = max_u8(most, load_pixel(rows.first + ((size_t)r * a->width + i) * LW_QUAD));
  store_pixel(out, most);
}

// The largest of `count` neighbouring pixels, for four windows side by side.
LW_INLINE v_u8 most_stride1(v_u8 most, const uint8_t *p, uint32_t count) {
  for (; count; count--, p += LW_QUAD) most = max_u8(most, load_u8(p));
  return most;
}

// The same for windows two pixels apart: two taps a step. Of a last single tap, the second load starts one pixel early,
// because reading one more at the end could leave the plane.
LW_INLINE v_u8 most_stride2(v_u8 most, const uint8_t *p, uint32_t count) {
  for (; count >= 2; count -= 2, p += 2 * LW_QUAD) {
    const v_split taps = load_split(p);
    most = max_u8(most, max_u8(taps.even, taps.odd));
  }
  return count ? max_u8(most, even_pixels(load_u8(p), next_pixel(load_u8(p + 3 * LW_QUAD)))) : most;
}

// Output columns [begin, end), at least four, whose windows lie inside the image's columns.
LW_INLINE void inner_pixels(const lw_pool_args *a, row_span rows, uint32_t begin, uint32_t end, uint8_t *out,
                            uint32_t stride, uint32_t kernel_w) {
  for (uint32_t x = begin;;) {
    const uint8_t *p = rows.first + ((size_t)x * stride - a->pad_left) * LW_QUAD;
    v_u8 most = splat_u8(0);
    for (uint32_t r = 0; r < rows.count; r++, p += (size_t)a->width * LW_QUAD)
      most = stride == 2 ? most_stride2(most, p, kernel_w) : most_stride1(most, p, kernel_w);
    store_u8(out + (size_t)x * LW_QUAD, most);
    if (x + LW_VECTOR_PIXELS >= end) return;
    x = x + 2 * LW_VECTOR_PIXELS <= end ? x + LW_VECTOR_PIXELS : end - LW_VECTOR_PIXELS;
  }
}

void LW_KERNEL(max_pool)(const void *args) {
  const lw_pool_args a = *(const lw_pool_args *)args;
  const uint32_t width = a.output_width;
  uint32_t begin = (uint32_t)lw_ceil_div(a.pad_left, a.stride_w);  // first window inside the columns
  uint32_t end = a.width + a.pad_left < a.kernel_w ? 0 : (a.width + a.pad_left - a.kernel_w) / a.stride_w + 1;
  if (end > width) end = width;
  if (a.stride_w > 2 || end < begin + LW_VECTOR_PIXELS) begin = end = width;
  for (uint32_t y = a.row_begin; y < a.row_end; y++) {
    const row_span rows = rows_of(&a, y);
    uint8_t *out = a.output + (size_t)y * width * LW_QUAD;
    for (uint32_t x = 0; x < begin; x++) one_pixel(&a, rows, x, out + (size_t)x * LW_QUAD);
    if (begin < end) {
      if (a.stride_w == 1)
        inner_pixels(&a, rows, begin, end, out, 1, a.kernel_w);
      else if (a.kernel_w == 3)  // by far the most frequent
        inner_pixels(&a, rows, begin, end, out, 2, 3);
      else
        inner_pixels(&a, rows, begin, end, out, 2, a.kernel_w);
    }
    for (uint32_t x = end; x < width; x++) one_pixel(&a, rows, x, out + (size_t)x * LW_QUAD);
  }
}
