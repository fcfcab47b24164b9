// im2col for AVX2: all quads of a tap see the same runs of pixels, so a tap's runs are found once and then copied.
#include "x86.h"

#define LW_TARGET LW_TARGET_AVX2

// Pixels of a line that lie in one row of the image, or beside it.
typedef struct {
  uint32_t at, count;  // in the line, pixels
  int64_t source;      // first pixel in the plane; -1 = the zero point
} run;

typedef struct {
  run runs[LW_MAX_TILE + 1];  // a run holds at least one pixel; one more fills the last 16
  uint32_t count;
} run_list;

static void add_run(run_list *l, uint32_t at, uint32_t count, int64_t source) {
  if (count == 0) return;
  run *last = l->count ? &l->runs[l->count - 1] : NULL;
  if (last && source < 0 && last->source < 0)
    last->count += count;
  else
    l->runs[l->count++] = (run){at, count, source};
}

// Output columns [begin, end) of one output row under one tap, into the line from `at` on.
static void add_row(run_list *l, const lw_pack_args *a, uint32_t out_y, uint32_t begin, uint32_t end, uint32_t ky,
                    uint32_t kx, uint32_t at) {
  const int64_t y = (int64_t)out_y * a->stride_h + (int64_t)ky * a->dilation_h - a->pad_top;
  const int64_t shift = (int64_t)kx * a->dilation_w - a->pad_left, stride = a->stride_w;  // x = out_x*stride + shift
  int64_t first = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
  int64_t last = (int64_t)a->width - 1 - shift;  // becomes: one past the last column inside
  last = last < 0 ? 0 : last / stride + 1;
  if (y < 0 || y >= a->height) last = 0;
  if (first < begin) first = begin;
  if (last > end) last = end;
  if (first >= last) {
    add_run(l, at, end - begin, -1);
    return;
  }
  add_run(l, at, (uint32_t)(first - begin), -1);
  add_run(l, at + (uint32_t)(first - begin), (uint32_t)(last - first), y * a->width + first * stride + shift);
  add_run(l, at + (uint32_t)(last - begin), (uint32_t)(end - last), -1);
}

static void find_runs(run_list *l, const lw_pack_args *a, uint32_t ky, uint32_t kx) {
  uint32_t y = a->pixel_begin / a->output_width, x = a->pixel_begin % a->output_width;
  l->count = 0;
  for (uint32_t done = 0; done < a->pixels; y++, x = 0) {
    const uint32_t room = a->output_width - x, left = a->pixels - done, count = room < left ? room : left;
    add_row(l, a, y, x, x + count, ky, kx, done);
    done += count;
  }
  add_run(l, a->pixels, -a->pixels % LW_TILE_PIXELS, -1);
}

LW_INLINE void copy_pixel(uint8_t *to, const uint8_t *from) { memcpy(to, from, LW_QUAD); }

LW_INLINE LW_TARGET void fill(uint8_t *to, uint32_t pixels, uint8_t value) {
  const __m256i v = _mm256_set1_epi8((int8_t)value);
  for (; pixels >= 8; pixels -= 8, to += 32) _mm256_storeu_si256((__m256i *)(void *)to, v);
  if (pixels & 4) _mm_storeu_si128((__m128i *)(void *)to, _mm256_castsi256_si128(v)), to += 16;
  for (pixels &= 3; pixels; pixels--, to += LW_QUAD) memset(to, value, LW_QUAD);
}

LW_INLINE LW_TARGET void copy_stride1(uint8_t *to, const uint8_t *from, uint32_t pixels) {
  for (; pixels >= 8; pixels -= 8, to += 32, from += 32)
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_loadu_si256((const __m256i *)(const void *)from));
  if (pixels & 4) {
    _mm_storeu_si128((__m128i *)(void *)to, _mm_loadu_si128((const __m128i *)(const void *)from));
    to += 16;
    from += 16;
  }
  for (pixels &= 3; pixels; pixels--, to += LW_QUAD, from += LW_QUAD) copy_pixel(to, from);
}

// Pixels 0, 2, .., 14 out of pixels 0..7 and 7..14: nothing behind the last one wanted is read.
LW_INLINE LW_TARGET __m256i even_pixels(const uint8_t *from) {
  const __m256 low = _mm256_loadu_ps((const float *)(const void *)from);
  const __m256 high = _mm256_loadu_ps((const float *)(const void *)(from + 7 * LW_QUAD));
  const __m256i mixed = _mm256_castps_si256(_mm256_shuffle_ps(low, high, _MM_SHUFFLE(3, 1, 2, 0)));
  return _mm256_permute4x64_epi64(mixed, _MM_SHUFFLE(3, 1, 2, 0));
}

LW_INLINE LW_TARGET void copy_stride2(uint8_t *to, const uint8_t *from, uint32_t pixels) {
  for (; pixels >= 8; pixels -= 8, to += 32, from += 64) _mm256_storeu_si256((__m256i *)(void *)to, even_pixels(from));
  for (; pixels; pixels--, to += LW_QUAD, from += 2 * LW_QUAD) copy_pixel(to, from);
}

LW_INLINE LW_TARGET void copy_run(const lw_pack_args *a, const run *r, const uint8_t *plane, uint8_t *line) {
  uint8_t *to = line + (size_t)r->at * LW_QUAD;
  const uint8_t *from = plane + (size_t)r->source * LW_QUAD;
  if (r->source < 0)
    fill(to, r->count, a->zero_point);
  else if (a->stride_w == 1)
    copy_stride1(to, from, r->count);
  else if (a->stride_w == 2)
    copy_stride2(to, from, r->count);
  else
    for (uint32_t p = 0; p < r->count; p++) copy_pixel(to + p * LW_QUAD, from + (size_t)p * a->stride_w * LW_QUAD);
}

// One output pixel: the quads of a tap side by side.
static void pack_pixel(const lw_pack_args *a, const run *r, uint8_t *line) {
  for (uint32_t quad = 0; quad < a->c4; quad++, line += LW_QUAD) {
    if (r->source < 0)
      memset(line, a->zero_point, LW_QUAD);
    else
      copy_pixel(line, a->input + quad * a->input_stride + (size_t)r->source * LW_QUAD);
  }
}

LW_TARGET void lw_pack__avx2(const void *args) {
  const lw_pack_args *a = args;
  uint8_t *line = a->tile;
  run_list l;
  for (uint32_t ky = 0; ky < a->kernel_h; ky++)
    for (uint32_t kx = 0; kx < a->kernel_w; kx++) {
      find_runs(&l, a, ky, kx);
      if (a->tile_stride == LW_QUAD) {
        pack_pixel(a, l.runs, line);
        line += (size_t)a->c4 * LW_QUAD;
        continue;
      }
      for (uint32_t quad = 0; quad < a->c4; quad++, line += a->tile_stride)
        for (uint32_t i = 0; i < l.count; i++) copy_run(a, &l.runs[i], a->input + quad * a->input_stride, line);
    }
}
