// What the depthwise kernels share: lines of padded input, and the way from sums to bytes. Include after defining
// LW_DEPTHWISE_LINES, the name of the function that depthwise_lines.h makes.

// Computes `times` output rows (or pairs of them) of four pixels or more, one below the other, from lines that begin
// with the first one's window.
typedef void (*line_rows)(const void *filter, const uint8_t *lines, size_t line_stride, uint8_t *output, uint32_t width,
                          uint32_t times);

// Runs a kernel over padded copies of its input rows. compute[n-1] does n rows at a time, up to most_rows
// (1 or 2).
void LW_DEPTHWISE_LINES(const lw_depthwise_args *a, uint32_t most_rows, const line_rows *compute, const void *filter);

// The next four pixels of a row, or its last four once more.
static inline uint32_t next_four(uint32_t x, uint32_t width) {
  return x + 2 * LW_VECTOR_PIXELS <= width ? x + LW_VECTOR_PIXELS : width - LW_VECTOR_PIXELS;
}

// From four sums, one pixel each, to bytes.
typedef struct {
  v_i32 bias;   // [4 channels]
  v_f32 scale;  // [4 channels]
  v_sum_output bytes;
} output_step;

LW_INLINE output_step output_step_of(const lw_depthwise_args *a) {
  return (output_step){load_i32(a->bias), load_f32(a->scale), sum_output_of(&a->requant)};
}

LW_INLINE v_f32 scaled_sum(v_i32 sum, const output_step *o) { return mul_f32(f32_of_i32(sum), o->scale); }

LW_INLINE v_u8 requantized(const v_i32 sum[4], const output_step *o) {
  return sum_bytes(scaled_sum(sum[0], o), scaled_sum(sum[1], o), scaled_sum(sum[2], o), scaled_sum(sum[3], o),
                   &o->bytes);
}
