// Average pooling. A window as wide as the image is one run of pixels (global pooling), four a step; others are summed
// row by row of the window.

void LW_KERNEL(avg_pool)(const void *args);

enum { LONGEST_RUN = 256 };  // vectors whose i16 sums cannot overflow: 127 each

// Sums of `pixels` consecutive pixels, [4 channels].
LW_INLINE v_i32 sum_of_run(const uint8_t *p, size_t pixels) {
  v_i32 wide[4] = {splat_i32(0), splat_i32(0), splat_i32(0), splat_i32(0)};
  while (pixels >= LW_VECTOR_PIXELS) {
    v_sums16 sum = sums16_none();
    for (int i = 0; i < LONGEST_RUN && pixels >= LW_VECTOR_PIXELS; i++) {
      sum = sums16_add_u8(sum, load_u8(p));
      p += LW_VECTOR_BYTES;
      pixels -= LW_VECTOR_PIXELS;
    }
    add_sums16(wide, sum);
  }
  v_i32 total = add_i32(add_i32(wide[0], wide[1]), add_i32(wide[2], wide[3]));
  for (; pixels > 0; p += LW_QUAD, pixels--) total = add_i32(total, widen_pixel(load_pixel(p)));
  return total;
}

// The part of [begin, begin + length) inside [0, size).
static inline void inside(int32_t begin, uint32_t length, uint32_t size, uint32_t *first, uint32_t *end) {
  const int32_t last = begin + (int32_t)length;
  *first = begin < 0 ? 0 : (uint32_t)begin;
  *end = (uint32_t)last < size ? (uint32_t)last : size;
}

void LW_KERNEL(avg_pool)(const void *args) {
  const lw_pool_args a = *(const lw_pool_args *)args;
  const v_output to = output_of(&a.requant);
  const v_f32 none = splat_f32(0);
  uint8_t *out = a.output + (size_t)a.row_begin * a.output_width * LW_QUAD;
  for (uint32_t y = a.row_begin; y < a.row_end; y++) {
    uint32_t top, bottom, left, right;
    inside((int32_t)(y * a.stride_h) - (int32_t)a.pad_top, a.kernel_h, a.height, &top, &bottom);
    for (uint32_t x = 0; x < a.output_width; x++, out += LW_QUAD) {
      inside((int32_t)(x * a.stride_w) - (int32_t)a.pad_left, a.kernel_w, a.width, &left, &right);
      const uint32_t columns = right - left, rows = bottom - top, count = rows * columns;
      const int whole = columns == a.width;  // then the rows join to one run
      const uint8_t *first = a.input + ((size_t)top * a.width + left) * LW_QUAD;
      v_i32 sum = splat_i32(-(int32_t)count * a.zero_point);
      for (uint32_t r = 0; r < (whole ? 1 : rows); r++)
        sum = add_i32(sum, sum_of_run(first + (size_t)r * a.width * LW_QUAD, whole ? count : columns));
      const float multiplier = a.multipliers[a.multiplier_count == 1 ? 0 : count - 1];
      const v_f32 average = mul_f32(f32_of_i32(sum), splat_f32(multiplier));
      store_pixel(out, output_bytes(average, none, none, none, &to));
    }
  }
}
