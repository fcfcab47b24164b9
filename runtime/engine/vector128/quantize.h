// Four planes of float to one plane of quads, four pixels a step. What is out of range saturates where the definition
// clamps: the u7 is the same.

void LW_KERNEL(quantize)(const void *args);
void lw_quantize__scalar(const void *args);

// One channel's four values, scaled; 0 for a padding channel and for NaN.
LW_INLINE v_f32 scaled_channel(const float *channel, size_t at, v_f32 inverse_scale, v_u8 *numbers) {
  if (channel == NULL) return splat_f32(0);
  const v_f32 scaled = mul_f32(load_f32(channel + at), inverse_scale);
  const v_u8 number = ordered(scaled);
  *numbers = and_u8(*numbers, number);
  return f32_of_bits(and_u8(bits_of_f32(scaled), number));
}

void LW_KERNEL(quantize)(const void *args) {
  const lw_quantize_args a = *(const lw_quantize_args *)args;
  if (a.pixels < LW_VECTOR_PIXELS) {
    lw_quantize__scalar(args);
    return;
  }
  const lw_requant range = {a.zero_point, 0, (int32_t)LW_ACTIVATION_MAX};
  const v_output out = output_of(&range);
  const v_f32 inverse_scale = splat_f32(a.inverse_scale);
  v_u8 numbers = splat_u8(0xFF);
  for (size_t p = 0;;) {
    v_f32 c[LW_QUAD];
    LW_UNROLLED
    for (uint32_t i = 0; i < LW_QUAD; i++) c[i] = scaled_channel(a.channel[i], p, inverse_scale, &numbers);
    store_u8(a.output + p * LW_QUAD, transposed_4x4(output_bytes(c[0], c[1], c[2], c[3], &out)));
    if (p + LW_VECTOR_PIXELS == a.pixels) break;
    p = p + 2 * LW_VECTOR_PIXELS <= a.pixels ? p + LW_VECTOR_PIXELS : a.pixels - LW_VECTOR_PIXELS;
  }
  if (!all_set(numbers)) *a.nan = 1;
}
