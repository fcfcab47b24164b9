// Operators that only move values: layout, concat, transpose, pad.
#include "lw_reference.h"

void lw_layout_to_quads(const uint8_t *input, uint32_t channels, size_t pixels, uint8_t *output, size_t output_stride) {
  for (uint32_t c = 0; c < lw_ceil_div(channels, LW_QUAD) * LW_QUAD; c++) {
    uint8_t *plane = output + c / LW_QUAD * output_stride + c % LW_QUAD;  // [pixels] u8, four bytes apart
    for (size_t p = 0; p < pixels; p++) plane[p * LW_QUAD] = c < channels ? input[c * pixels + p] : 0;
  }
}

void lw_layout_to_plain(const uint8_t *input, size_t input_stride, uint32_t channels, size_t pixels, uint8_t *output) {
  for (uint32_t c = 0; c < channels; c++) {
    const uint8_t *plane = input + c / LW_QUAD * input_stride + c % LW_QUAD;  // [pixels] u8, four bytes apart
    for (size_t p = 0; p < pixels; p++) output[c * pixels + p] = plane[p * LW_QUAD];
  }
}

void lw_concat_plain(const void *const *inputs, const size_t *input_bytes, uint32_t count, size_t outer, void *output) {
  uint8_t *out = output;
  for (size_t o = 0; o < outer; o++)
    for (uint32_t i = 0; i < count; out += input_bytes[i], i++)
      __builtin_memcpy(out, (const uint8_t *)inputs[i] + o * input_bytes[i], input_bytes[i]);
}

void lw_concat_quads(const uint8_t *input, size_t input_stride, uint32_t channels, size_t pixels,
                     uint32_t first_channel, uint8_t *output, size_t output_stride) {
  if (first_channel % LW_QUAD == 0) {  // whole planes; what padding channels bring along, the next input overwrites
    for (uint32_t quad = 0; quad < lw_ceil_div(channels, LW_QUAD); quad++)
      __builtin_memcpy(output + (first_channel / LW_QUAD + quad) * output_stride, input + quad * input_stride,
                       pixels * LW_QUAD);
    return;
  }
  for (uint32_t c = 0; c < channels; c++) {
    const uint32_t to = first_channel + c;
    const uint8_t *from_plane = input + c / LW_QUAD * input_stride + c % LW_QUAD;  // [pixels] u8, four bytes apart
    uint8_t *to_plane = output + to / LW_QUAD * output_stride + to % LW_QUAD;      // [pixels] u8, four bytes apart
    for (size_t p = 0; p < pixels; p++) to_plane[p * LW_QUAD] = from_plane[p * LW_QUAD];
  }
}

void lw_transpose(const void *input, const uint32_t *dims, const uint32_t *perm, uint32_t rank, size_t element_bytes,
                  void *output) {
  size_t input_strides[LW_MAX_RANK];           // bytes
  size_t steps[LW_MAX_RANK] = {0};             // bytes of the input per step of an output dim
  uint32_t sizes[LW_MAX_RANK] = {1, 1, 1, 1};  // of the output, filled up to four dims
  size_t stride = element_bytes;
  for (uint32_t d = rank; d-- > 0; stride *= dims[d]) input_strides[d] = stride;
  for (uint32_t d = 0; d < rank; d++) {
    sizes[d] = dims[perm[d]];
    steps[d] = input_strides[perm[d]];
  }
  const uint8_t *in = input;
  uint8_t *out = output;
  for (size_t i = 0; i < sizes[0]; i++)
    for (size_t j = 0; j < sizes[1]; j++)
      for (size_t k = 0; k < sizes[2]; k++)
        for (size_t l = 0; l < sizes[3]; l++, out += element_bytes)
          __builtin_memcpy(out, in + i * steps[0] + j * steps[1] + k * steps[2] + l * steps[3], element_bytes);
}

void lw_pad_plane(const uint8_t *input, uint32_t height, uint32_t width, uint32_t pad_top, uint32_t pad_left,
                  uint32_t pad_bottom, uint32_t pad_right, uint8_t zero_point, uint8_t *output) {
  const size_t output_width = (size_t)pad_left + width + pad_right;
  const size_t output_height = (size_t)pad_top + height + pad_bottom;
  __builtin_memset(output, zero_point, output_height * output_width * LW_QUAD);
  for (size_t y = 0; y < height; y++)
    __builtin_memcpy(output + ((y + pad_top) * output_width + pad_left) * LW_QUAD, input + y * width * LW_QUAD,
                     (size_t)width * LW_QUAD);
}
