// Residual add and product, 16 bytes a step.
//
// A byte q under the bits of 2^23 is the float 2^23 + q, and subtracting 2^23 + z leaves q - z exactly: two zips and a
// subtraction instead of widening, subtracting and converting.

void LW_KERNEL(add)(const void *args);
void LW_KERNEL(mul)(const void *args);

// (q - zero_point) * multiplier of 16 bytes; based_zero = 2^23 + zero point.
LW_INLINE void real_values(v_u8 q, v_f32 based_zero, v_f32 multiplier, v_f32 real[4]) {
  const v_u8 base = splat_u16(0x4B00), none = splat_u8(0);
  const v_u8 low = zip_low_u8(q, none), high = zip_high_u8(q, none);
  const v_u8 based[4] = {zip_low_u16(low, base), zip_high_u16(low, base), zip_low_u16(high, base),
                         zip_high_u16(high, base)};
  LW_UNROLLED
  for (int i = 0; i < 4; i++) real[i] = mul_f32(sub_f32(f32_of_bits(based[i]), based_zero), multiplier);
}

LW_INLINE v_u8 sum_of(const lw_binary_args *a, v_u8 left, v_u8 right, const v_output *out) {
  v_f32 x[4], y[4];
  real_values(left, splat_f32(0x1p+23f + (float)a->zero_point_a), splat_f32(a->multiplier_a), x);
  real_values(right, splat_f32(0x1p+23f + (float)a->zero_point_b), splat_f32(a->multiplier_b), y);
  LW_UNROLLED
  for (int i = 0; i < 4; i++) x[i] = add_f32(x[i], y[i]);
  return output_bytes(x[0], x[1], x[2], x[3], out);
}

LW_INLINE v_u8 product_of(const lw_binary_args *a, v_u8 left, v_u8 right, const v_output *out) {
  v_i32 product[4];
  v_f32 scaled[4];
  products(differences(left, splat_u8(a->zero_point_a)), differences(right, splat_u8(a->zero_point_b)), product);
  LW_UNROLLED
  for (int i = 0; i < 4; i++) scaled[i] = mul_f32(f32_of_i32(product[i]), splat_f32(a->multiplier_a));
  return output_bytes(scaled[0], scaled[1], scaled[2], scaled[3], out);
}

typedef v_u8 (*binary_step)(const lw_binary_args *a, v_u8 left, v_u8 right, const v_output *out);

// A whole number of vectors; with b_quad, b is one vector for all.
LW_INLINE void each_step(const lw_binary_args *args, binary_step step) {
  const lw_binary_args a = *args;  // in registers: stores of bytes could alter the original
  const v_output out = output_of(&a.requant);
  const uint8_t *b = a.b;
  for (size_t i = 0; i < a.count; i += LW_VECTOR_BYTES, b += a.b_quad ? 0 : LW_VECTOR_BYTES)
    store_u8(a.output + i, step(&a, load_u8(a.a + i), load_u8(b), &out));
}

static __attribute__((noinline)) void add_all(const lw_binary_args *a) { each_step(a, sum_of); }
static __attribute__((noinline)) void multiply_all(const lw_binary_args *a) { each_step(a, product_of); }

// The end is computed in copies: in place it may not be computed twice.
static void with_rest(const lw_binary_args *args, void (*all)(const lw_binary_args *)) {
  lw_binary_args a = *args;
  const size_t rest = a.count % LW_VECTOR_BYTES, whole = a.count - rest;
  uint8_t left[LW_VECTOR_BYTES] = {0}, right[LW_VECTOR_BYTES] = {0}, *to = a.output + whole;
  __builtin_memcpy(left, a.a + whole, rest);
  if (a.b_quad) {
    store_u8(right, load_pixel(a.b));
    a.b = right;
  } else {
    __builtin_memcpy(right, a.b + whole, rest);
  }
  a.count = whole;
  all(&a);
  if (rest == 0) return;
  a.a = a.output = left;
  a.b = right;
  a.count = LW_VECTOR_BYTES;
  all(&a);
  __builtin_memcpy(to, left, rest);
}

void LW_KERNEL(add)(const void *args) { with_rest(args, add_all); }
void LW_KERNEL(mul)(const void *args) { with_rest(args, multiply_all); }
