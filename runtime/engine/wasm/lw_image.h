// Photos as model inputs and back, for JavaScript: what Pillow's antialiased bicubic resize gives, bit for bit.
//
// Pixels are RGBA, four bytes each, as a canvas has them; alpha is carried along and ends in no tensor. A resize is two
// passes, each with its axis: first along rows (any number of rows at a time, so that a large photo passes through in
// strips), then along columns. Only the part of the result that a crop keeps is computed.
#ifndef LW_IMAGE_H
#define LW_IMAGE_H

#include <stdint.h>

// An axis resized from `from` to `to` pixels: for each of the kept result pixels start .. start+count-1 one row of
// lw_web_axis_words(from, to) words: first source pixel, taps, then that many weights in 1/2^22 (they sum to about
// 2^22).
uint32_t lw_web_axis_words(uint32_t from, uint32_t to);
void lw_web_axis(uint32_t from, uint32_t to, uint32_t start, uint32_t count, int32_t *axis /* [count][words] */);

void lw_web_gray(uint8_t *rgba, uint32_t pixels);  // luma (ITU-R 601) into all three colours, in place
void lw_web_resize_rows(const uint8_t *rgba /* [rows][width][4] */, uint32_t rows, uint32_t width,
                        const int32_t *axis /* [count][words] */, uint32_t words, uint32_t count,
                        uint8_t *to /* [rows][count][4] */);
// `rgba` begins with source row `first`: rows above what the axis reads need not be there.
void lw_web_resize_columns(const uint8_t *rgba /* [rows][width][4] */, uint32_t first, uint32_t width,
                           const int32_t *axis /* [count][words] */, uint32_t words, uint32_t count,
                           uint8_t *to /* [count][width][4] */);

// How pixels become values: value = (pixel - mean) / std, then quantized if scale is not 0. One mean and std per
// tensor channel, in the tensor's order.
typedef enum {
  LW_WEB_NORM_MEAN_0,
  LW_WEB_NORM_MEAN_1,
  LW_WEB_NORM_MEAN_2,
  LW_WEB_NORM_STD_0,
  LW_WEB_NORM_STD_1,
  LW_WEB_NORM_STD_2,
  LW_WEB_NORM_SCALE,  // of a u7 tensor; 0 = the tensor is float32
  LW_WEB_NORM_ZERO_POINT,
  LW_WEB_NORM_CHANNELS,  // 1 (gray) or 3
  LW_WEB_NORM_PLANAR,    // 1 = [C][pixels], 0 = [pixels][C]
  LW_WEB_NORM_BGR,       // 1 = the tensor's first channel is blue
  LW_WEB_NORM_SLOTS
} lw_web_norm_slot;

void lw_web_pixels_to_tensor(const uint8_t *rgba /* [pixels][4] */, uint32_t pixels, const float *norm, void *tensor);
void lw_web_tensor_to_pixels(const void *tensor, uint32_t pixels, const float *norm, uint8_t *rgba /* [pixels][4] */);

#endif
