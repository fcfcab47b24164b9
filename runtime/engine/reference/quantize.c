// Between real numbers and u7, plain and in quads.
#include "lw_reference.h"

void lw_quantize__scalar(const void *args) {
  const lw_quantize_args *a = args;
  for (uint32_t c = 0; c < LW_QUAD; c++)
    for (size_t p = 0; p < a->pixels; p++)
      a->output[p * LW_QUAD + c] = a->channel[c]
                                       ? lw_quantize_value(a->channel[c][p], a->inverse_scale, a->zero_point, a->nan)
                                       : (uint8_t)a->zero_point;
}

void lw_quantize_plain(const float *input, size_t count, float inverse_scale, int32_t zero_point, uint8_t *output,
                       uint32_t *nan) {
  for (size_t i = 0; i < count; i++) output[i] = lw_quantize_value(input[i], inverse_scale, zero_point, nan);
}

void lw_dequantize_plain(const uint8_t *input, size_t count, float scale, int32_t zero_point, float *output) {
  for (size_t i = 0; i < count; i++) output[i] = (float)(input[i] - zero_point) * scale;
}

void lw_dequantize_quads(const uint8_t *input, size_t input_stride, uint32_t channels, size_t pixels, float scale,
                         int32_t zero_point, float *output) {
  for (uint32_t c = 0; c < channels; c++) {
    const uint8_t *plane = input + c / LW_QUAD * input_stride + c % LW_QUAD;  // [pixels] u8, four bytes apart
    for (size_t p = 0; p < pixels; p++) output[c * pixels + p] = (float)(plane[p * LW_QUAD] - zero_point) * scale;
  }
}
