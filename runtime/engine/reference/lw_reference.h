// The scalar reference: docs/numerics.md in C. It defines what every other kernel must give, bit for bit, and it is
// what a machine without vector instructions runs. Freestanding: no libc, no libm; memcpy and memset as compiler
// builtins.
#ifndef LW_REFERENCE_H
#define LW_REFERENCE_H

#include <float.h>

#include "lw_kernel.h"

// Wider intermediate results (x87) would round twice.
_Static_assert(FLT_EVAL_METHOD == 0 || FLT_EVAL_METHOD == 16, "float expressions must be evaluated as binary32");

// Kernels of the kernel list; args is the family's struct.
void lw_gemm__scalar(const void *args);
void lw_gemv__scalar(const void *args);
void lw_pack__scalar(const void *args);
void lw_depthwise__scalar(const void *args);
void lw_add__scalar(const void *args);
void lw_mul__scalar(const void *args);
void lw_table__scalar(const void *args);
void lw_quantize__scalar(const void *args);
void lw_avg_pool__scalar(const void *args);
void lw_max_pool__scalar(const void *args);

// Operators that only have this form. Work is split among threads by calling them on parts of a tensor.

// Layout. Padding channels of the last quad become 0.
void lw_layout_to_quads(const uint8_t *input,  // [channels][pixels] u8
                        uint32_t channels, size_t pixels,
                        uint8_t *output,  // [ceil(channels/4)][pixels][4] u8, planes output_stride bytes apart
                        size_t output_stride);
void lw_layout_to_plain(const uint8_t *input, size_t input_stride,  // as the output above
                        uint32_t channels, size_t pixels,
                        uint8_t *output);  // [channels][pixels] u8

// Plain u7 <-> f32. *nan becomes 1 if a NaN was seen, and is left alone otherwise.
void lw_quantize_plain(const float *input, size_t count, float inverse_scale, int32_t zero_point, uint8_t *output,
                       uint32_t *nan);
void lw_dequantize_plain(const uint8_t *input, size_t count, float scale, int32_t zero_point, float *output);
void lw_dequantize_quads(const uint8_t *input, size_t input_stride, uint32_t channels, size_t pixels, float scale,
                         int32_t zero_point,
                         float *output);  // [channels][pixels] f32

// Average pooling whose result stays float: rows [row_begin, row_end) of the first `channels` of one plane of four; the
// args' requant and output are not used.
void lw_avg_pool_f32(const lw_pool_args *args, uint32_t channels,
                     float *output);  // [channels][output_height*output_width] f32

// Joins plain tensors along an axis: `outer` is the product of the dims before it, input_bytes[i] the bytes of input i
// from the axis on.
void lw_concat_plain(const void *const *inputs,  // [count], each [outer][input_bytes[i]]
                     const size_t *input_bytes, uint32_t count, size_t outer,
                     void *output);  // [outer][sum of input_bytes]

// Joins tensors in quads along their channels, called once per input: its channels become the output's channels from
// first_channel on. In rising order of first_channel: a quad shared by two inputs is written by both.
void lw_concat_quads(const uint8_t *input, size_t input_stride, uint32_t channels, size_t pixels,
                     uint32_t first_channel, uint8_t *output, size_t output_stride);

// Output dim i is input dim perm[i]; rank dims, elements of element_bytes.
void lw_transpose(const void *input, const uint32_t *dims, const uint32_t *perm, uint32_t rank, size_t element_bytes,
                  void *output);

// One plane, four channels.
void lw_pad_plane(const uint8_t *input,  // [height*width][4] u8
                  uint32_t height, uint32_t width, uint32_t pad_top, uint32_t pad_left, uint32_t pad_bottom,
                  uint32_t pad_right, uint8_t zero_point,
                  uint8_t *output);  // [(pad_top+height+pad_bottom)*(pad_left+width+pad_right)][4] u8
void lw_resize_nearest_plane(const uint8_t *input, uint32_t width,             // [height*width][4] u8
                             const uint16_t *row_low, uint32_t output_height,  // [output_height]
                             const uint16_t *col_low, uint32_t output_width,   // [output_width]
                             uint8_t *output);                                 // [output pixels][4] u8
typedef struct {
  const uint16_t *low, *high;  // [output size], index into the input
  const uint16_t *weight;      // [output size], of high, in 1/256
  uint32_t output_size;
} lw_resize_axis;
void lw_resize_bilinear_plane(const uint8_t *input, uint32_t width,  // [height*width][4] u8
                              const lw_resize_axis *rows, const lw_resize_axis *cols,
                              uint8_t *output);  // [output pixels][4] u8

// exp(x) for x <= 0, as docs/numerics.md fixes it.
float lw_exp(float x);
// Softmax of each row. A row whose sum is NaN becomes the canonical NaN, the same bits on every machine.
void lw_softmax_rows(const float *input,  // [rows][n] f32
                     size_t rows, size_t n,
                     float *output);  // [rows][n] f32

// Nearest integer, ties to even; |x| < 2^31.
static inline int32_t lw_round(float x) {
  const float two23 = 0x1p+23f;  // from here on a float is an integer
  if (x >= two23 || x <= -two23) return (int32_t)x;
  const float magic = x < 0.0f ? -two23 : two23;  // adding it leaves no fraction bits: the addition rounds
  return (int32_t)((x + magic) - magic);
}

static inline int32_t lw_clamp(int32_t x, int32_t low, int32_t high) { return x < low ? low : x > high ? high : x; }

// |accumulator * multiplier| < 2^31, so adding the zero point cannot overflow.
static inline uint8_t lw_requantize(int32_t accumulator, float multiplier, const lw_requant *to) {
  const int32_t rounded = lw_round((float)accumulator * multiplier);
  return (uint8_t)lw_clamp(rounded + to->zero_point, to->clamp_min, to->clamp_max);
}

// NaN gives the zero point and reports itself; infinities saturate.
static inline uint8_t lw_quantize_value(float x, float inverse_scale, int32_t zero_point, uint32_t *nan) {
  float scaled = x * inverse_scale;
  if (scaled != scaled) {
    *nan = 1;
    scaled = 0.0f;
  }
  if (scaled < -1024.0f) scaled = -1024.0f;
  if (scaled > 1024.0f) scaled = 1024.0f;
  return (uint8_t)lw_clamp(lw_round(scaled) + zero_point, 0, (int32_t)LW_ACTIVATION_MAX);
}

// First input row or column of the window of output position `out`; may lie before the image.
static inline int32_t lw_window_begin(uint32_t out, uint32_t stride, uint32_t pad) {
  return (int32_t)(out * stride) - (int32_t)pad;
}

static inline int lw_inside(int32_t position, uint32_t size) { return position >= 0 && (uint32_t)position < size; }

#endif
