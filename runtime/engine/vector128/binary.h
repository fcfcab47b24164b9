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

// The end is computed in copies: in place it may not be computed twice.
LW_INLINE void each_step(const lw_binary_args *args, binary_step step) {
  const lw_binary_args a = *args;  // in registers: stores of bytes could alter the original
  const v_output out = output_of(&a.requant);
  const v_u8 quad = a.b_quad ? load_pixel(a.b) : splat_u8(0);
  size_t i = 0;
  for (; i + LW_VECTOR_BYTES <= a.count; i += LW_VECTOR_BYTES)
    store_u8(a.output + i, step(&a, load_u8(a.a + i), a.b_quad ? quad : load_u8(a.b + i), &out));
  if (i == a.count) return;
  uint8_t left[LW_VECTOR_BYTES] = {0}, right[LW_VECTOR_BYTES] = {0};
  __builtin_memcpy(left, a.a + i, a.count - i);
  if (!a.b_quad) __builtin_memcpy(right, a.b + i, a.count - i);
  store_u8(left, step(&a, load_u8(left), a.b_quad ? quad : load_u8(right), &out));
  __builtin_memcpy(a.output + i, left, a.count - i);
}

void LW_KERNEL(add)(const void *args) { each_step(args, sum_of); }
void LW_KERNEL(mul)(const void *args) { each_step(args, product_of); }
