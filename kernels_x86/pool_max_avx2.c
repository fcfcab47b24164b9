// Max pooling, AVX2. Values are never negative, so a tap outside the image counts as 0. Windows wholly inside the
// image's columns are done eight at a time for strides 1 and 2; border pixels and other strides one at a time.
#include "x86.h"

void lw_max_pool__avx2(const void *args);

enum { BLOCK = 8 };  // pixels

LW_INLINE LW_TARGET_AVX2 __m256i load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }

typedef struct {
  const uint8_t *first;  // row of the window's first tap inside the image
  uint32_t count;        // rows inside
} row_span;

static inline row_span rows_of(const lw_pool_args *a, uint32_t y) {
  const int32_t begin = (int32_t)(y * a->stride_h) - (int32_t)a->pad_top, end = begin + (int32_t)a->kernel_h;
  const uint32_t first = begin < 0 ? 0 : (uint32_t)begin;
  const uint32_t last = (uint32_t)end < a->height ? (uint32_t)end : a->height;
  return (row_span){a->input + (size_t)first * a->width * LW_QUAD, last - first};
}

LW_INLINE LW_TARGET_AVX2 void one_pixel(const lw_pool_args *a, row_span rows, uint32_t x, uint8_t *out /* [4] */) {
  const int32_t begin = (int32_t)(x * a->stride_w) - (int32_t)a->pad_left, end = begin + (int32_t)a->kernel_w;
  const uint32_t first = begin < 0 ? 0 : (uint32_t)begin;
  const uint32_t last = (uint32_t)end < a->width ? (uint32_t)end : a->width;
  __m128i most = _mm_setzero_si128();
  int32_t four;
  for (uint32_t r = 0; r < rows.count; r++)
    for (uint32_t i = first; i < last; i++) {
      memcpy(&four, rows.first + ((size_t)r * a->width + i) * LW_QUAD, sizeof four);
      most = _mm_max_epu8(most, _mm_cvtsi32_si128(four));
    }
  four = _mm_cvtsi128_si32(most);
  memcpy(out, &four, sizeof four);
}

// Every other of 15 pixels, in the order 01 45 23 67. The second load starts one pixel early: reading one more at the
// end could leave the plane.
LW_INLINE LW_TARGET_AVX2 __m256i every_other(const uint8_t *p) {
  const __m256 first = _mm256_castsi256_ps(load(p)), second = _mm256_castsi256_ps(load(p + 7 * LW_QUAD));
  return _mm256_castps_si256(_mm256_shuffle_ps(first, second, 0xD8));
}

LW_INLINE LW_TARGET_AVX2 void eight_pixels(const lw_pool_args *a, row_span rows, uint32_t x, uint8_t *out) {
  const uint8_t *p = rows.first + ((size_t)x * a->stride_w - a->pad_left) * LW_QUAD;
  __m256i most = _mm256_setzero_si256();
  for (uint32_t r = 0; r < rows.count; r++, p += (size_t)a->width * LW_QUAD)
    for (uint32_t i = 0; i < a->kernel_w; i++) {
      const uint8_t *tap = p + (size_t)i * LW_QUAD;
      most = _mm256_max_epu8(most, a->stride_w == 2 ? every_other(tap) : load(tap));
    }
  if (a->stride_w == 2) most = _mm256_permute4x64_epi64(most, 0xD8);
  _mm256_storeu_si256((__m256i *)(void *)(out + (size_t)x * LW_QUAD), most);
}

LW_TARGET_AVX2 void lw_max_pool__avx2(const void *args) {
  const lw_pool_args *a = args;
  const uint32_t width = a->output_width;
  uint32_t begin = (uint32_t)lw_ceil_div(a->pad_left, a->stride_w);  // first window inside the columns
  uint32_t end = a->width + a->pad_left < a->kernel_w ? 0 : (a->width + a->pad_left - a->kernel_w) / a->stride_w + 1;
  if (end > width) end = width;
  if (a->stride_w > 2 || end < begin + BLOCK) begin = end = width;
  for (uint32_t y = a->row_begin; y < a->row_end; y++) {
    const row_span rows = rows_of(a, y);
    uint8_t *out = a->output + (size_t)y * width * LW_QUAD;
    for (uint32_t x = 0; x < begin; x++) one_pixel(a, rows, x, out + (size_t)x * LW_QUAD);
    for (uint32_t x = begin; x < end; x += BLOCK) eight_pixels(a, rows, x + BLOCK <= end ? x : end - BLOCK, out);
    for (uint32_t x = end; x < width; x++) one_pixel(a, rows, x, out + (size_t)x * LW_QUAD);
  }
}
