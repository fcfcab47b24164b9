// Resizes and normalises photos. Doubles and roundings are in Pillow's order: the converter's calibration images went
// through Pillow, and a model should meet the same pixels on the device.
#include <stddef.h>

#include "lw_format.h"
#include "lw_image.h"

#define EXPORT __attribute__((visibility("default")))
#define WEIGHT_BITS 22  // 255 times the weights' absolute sum, below 1.5, still fits an int32
#define BICUBIC_REACH 2.0

static double bicubic(double x) {
  if (x < 0) x = -x;
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5;
  return 0;
}

// Source pixels per result pixel, at least 1: shrinking widens the filter, which is what avoids aliasing.
static double stretch(uint32_t from, uint32_t to) {
  const double scale = (double)from / to;
  return scale < 1 ? 1 : scale;
}

EXPORT uint32_t lw_web_axis_words(uint32_t from, uint32_t to) {
  return 2 + 2 * (uint32_t)__builtin_ceil(BICUBIC_REACH * stretch(from, to)) + 1;
}

static int32_t fixed_point(double weight) {
  const double scaled = weight * (1 << WEIGHT_BITS);
  return (int32_t)(weight < 0 ? scaled - 0.5 : scaled + 0.5);
}

static void axis_row(uint32_t from, double center, double widening, int32_t *row /* first, taps, weights */) {
  const double reach = BICUBIC_REACH * widening, narrowing = 1 / widening;
  const int32_t low = (int32_t)(center - reach + 0.5), high = (int32_t)(center + reach + 0.5);
  row[0] = low < 0 ? 0 : low;
  row[1] = (high > (int32_t)from ? (int32_t)from : high) - row[0];
  double sum = 0;
  for (int32_t t = 0; t < row[1]; t++) sum += bicubic((t + row[0] - center + 0.5) * narrowing);
  for (int32_t t = 0; t < row[1]; t++) row[2 + t] = fixed_point(bicubic((t + row[0] - center + 0.5) * narrowing) / sum);
}

EXPORT void lw_web_axis(uint32_t from, uint32_t to, uint32_t start, uint32_t count, int32_t *axis) {
  const double scale = (double)from / to;
  const uint32_t words = lw_web_axis_words(from, to);
  for (uint32_t i = 0; i < count; i++)
    axis_row(from, (start + i + 0.5) * scale, stretch(from, to), axis + (size_t)i * words);
}

EXPORT void lw_web_gray(uint8_t *rgba, uint32_t pixels) {
  for (uint32_t i = 0; i < pixels; i++, rgba += 4) {
    const uint32_t luma = (rgba[0] * 19595u + rgba[1] * 38470u + rgba[2] * 7471u + 0x8000u) >> 16;
    rgba[0] = rgba[1] = rgba[2] = (uint8_t)luma;
  }
}

static uint8_t to_byte(int32_t value) { return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value); }

// One result pixel: source pixels `step` bytes apart.
static void filter_pixel(const uint8_t *from, size_t step, const int32_t *row, uint8_t *to /* [4] */) {
  int32_t sum[4];
  for (uint32_t c = 0; c < 4; c++) sum[c] = 1 << (WEIGHT_BITS - 1);
  for (int32_t t = 0; t < row[1]; t++, from += step)
    for (uint32_t c = 0; c < 4; c++) sum[c] += from[c] * row[2 + t];
  for (uint32_t c = 0; c < 4; c++) to[c] = to_byte(sum[c] >> WEIGHT_BITS);
}

EXPORT void lw_web_resize_rows(const uint8_t *rgba, uint32_t rows, uint32_t width, const int32_t *axis, uint32_t words,
                               uint32_t count, uint8_t *to) {
  for (uint32_t y = 0; y < rows; y++, rgba += (size_t)width * 4)
    for (uint32_t x = 0; x < count; x++, to += 4) {
      const int32_t *row = axis + (size_t)x * words;
      filter_pixel(rgba + (size_t)row[0] * 4, 4, row, to);
    }
}

EXPORT void lw_web_resize_columns(const uint8_t *rgba, uint32_t first, uint32_t width, const int32_t *axis,
                                  uint32_t words, uint32_t count, uint8_t *to) {
  for (uint32_t y = 0; y < count; y++, axis += words)
    for (uint32_t x = 0; x < width; x++, to += 4)
      filter_pixel(rgba + (((size_t)axis[0] - first) * width + x) * 4, (size_t)width * 4, axis, to);
}

static uint32_t colour(const float *norm, uint32_t channel) {
  return norm[LW_WEB_NORM_BGR] != 0 ? 2 - channel : channel;
}

static size_t place(const float *norm, uint32_t pixels, uint32_t i, uint32_t channel) {
  const uint32_t channels = (uint32_t)norm[LW_WEB_NORM_CHANNELS];
  return norm[LW_WEB_NORM_PLANAR] != 0 ? (size_t)channel * pixels + i : (size_t)i * channels + channel;
}

static uint8_t quantize(float value, const float *norm) {
  const float q = __builtin_rintf(value * (1 / norm[LW_WEB_NORM_SCALE])) + norm[LW_WEB_NORM_ZERO_POINT];
  return (uint8_t)(q<0 ? 0 : q>(float) LW_ACTIVATION_MAX ? (float)LW_ACTIVATION_MAX : q);
}

EXPORT void lw_web_pixels_to_tensor(const uint8_t *rgba, uint32_t pixels, const float *norm, void *tensor) {
  const uint32_t channels = (uint32_t)norm[LW_WEB_NORM_CHANNELS];
  for (uint32_t c = 0; c < channels; c++)
    for (uint32_t i = 0; i < pixels; i++) {
      const float pixel = rgba[(size_t)i * 4 + colour(norm, c)];
      const float value = (pixel - norm[LW_WEB_NORM_MEAN_0 + c]) / norm[LW_WEB_NORM_STD_0 + c];
      const size_t at = place(norm, pixels, i, c);
      if (norm[LW_WEB_NORM_SCALE] != 0)
        ((uint8_t *)tensor)[at] = quantize(value, norm);
      else
        ((float *)tensor)[at] = value;
    }
}

static float value_at(const void *tensor, size_t at, const float *norm) {
  if (norm[LW_WEB_NORM_SCALE] == 0) return ((const float *)tensor)[at];
  return ((float)((const uint8_t *)tensor)[at] - norm[LW_WEB_NORM_ZERO_POINT]) * norm[LW_WEB_NORM_SCALE];
}

EXPORT void lw_web_tensor_to_pixels(const void *tensor, uint32_t pixels, const float *norm, uint8_t *rgba) {
  const uint32_t channels = (uint32_t)norm[LW_WEB_NORM_CHANNELS];
  for (uint32_t i = 0; i < pixels; i++, rgba += 4) {
    for (uint32_t c = 0; c < 3; c++) {
      const uint32_t channel = channels == 1 ? 0 : c;
      const float value = value_at(tensor, place(norm, pixels, i, channel), norm);
      const float pixel =
          __builtin_rintf(value * norm[LW_WEB_NORM_STD_0 + channel] + norm[LW_WEB_NORM_MEAN_0 + channel]);
      rgba[channels == 1 ? c : colour(norm, c)] = (uint8_t)(pixel > 0 ? pixel < 255 ? pixel : 255 : 0);
    }
    rgba[3] = 255;
  }
}
