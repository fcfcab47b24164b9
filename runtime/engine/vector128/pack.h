// im2col. A tile covers a few segments of output rows, and under one tap each segment is a run of input pixels with
// zero points before and after it: the same runs for all quads, found once per tap.

#include "pixels.h"

void LW_KERNEL(pack)(const void *args);

// Consecutive output pixels of one row.
typedef struct {
  uint32_t at;          // first pixel in the line
  int32_t y;            // input row under tap row 0
  uint32_t begin, end;  // output columns
} segment;

// Pixels of a line that lie in one row of the image, or beside it.
typedef struct {
  uint32_t at, count;  // in the line, pixels
  size_t source;       // first pixel in the plane
  int outside;         // all zero points
} run;

typedef struct {
  segment segments[LW_MAX_TILE];
  run runs[LW_MAX_TILE + 1];  // a run holds at least one pixel; one more fills the last 16
  uint32_t segment_count, run_count;
} tile_plan;

static void find_segments(tile_plan *t, const lw_pack_args *a) {
  uint32_t y = a->pixel_begin / a->output_width, x = a->pixel_begin - y * a->output_width;
  t->segment_count = 0;
  for (uint32_t done = 0; done < a->pixels; y++, x = 0) {
    const uint32_t room = a->output_width - x, left = a->pixels - done, count = room < left ? room : left;
    t->segments[t->segment_count++] = (segment){done, (int32_t)(y * a->stride_h) - (int32_t)a->pad_top, x, x + count};
    done += count;
  }
}

static void add_run(tile_plan *t, uint32_t at, uint32_t count, size_t source, int outside) {
  if (count == 0) return;
  run *last = t->run_count ? &t->runs[t->run_count - 1] : NULL;
  if (last && outside && last->outside)
    last->count += count;
  else
    t->runs[t->run_count++] = (run){at, count, source, outside};
}

static inline uint32_t divided(uint32_t x, uint32_t stride) {
  return stride == 1 ? x : stride == 2 ? x >> 1 : x / stride;
}

static void find_runs(tile_plan *t, const lw_pack_args *a, uint32_t ky, uint32_t kx) {
  const uint32_t stride = a->stride_w, reach = kx * a->dilation_w, dy = ky * a->dilation_h;
  const uint32_t before = a->pad_left > reach ? a->pad_left - reach : 0;  // columns left of the image
  const uint32_t inside = a->width + a->pad_left > reach ? a->width + a->pad_left - reach : 0;
  const uint32_t first_inside = divided(before + stride - 1, stride);  // output columns [first, end)
  const uint32_t end_inside = divided(inside + stride - 1, stride);
  t->run_count = 0;
  for (const segment *s = t->segments; s < t->segments + t->segment_count; s++) {
    const int32_t y = s->y + (int32_t)dy;
    uint32_t first = first_inside > s->begin ? first_inside : s->begin;
    uint32_t end = end_inside < s->end ? end_inside : s->end;
    if (y < 0 || (uint32_t)y >= a->height || first >= end) first = end = s->end;
    add_run(t, s->at, first - s->begin, 0, 1);
    add_run(t, s->at + first - s->begin, end - first,
            (size_t)y * a->width + (size_t)first * stride + reach - a->pad_left, 0);
    add_run(t, s->at + end - s->begin, s->end - end, 0, 1);
  }
  add_run(t, a->pixels, -a->pixels % LW_TILE_PIXELS, 0, 1);
}

LW_INLINE void copy_pixel(uint8_t *to, const uint8_t *from) { __builtin_memcpy(to, from, LW_QUAD); }

// No pixel more: the next run may be written already.
LW_INLINE void fill_exactly(uint8_t *to, uint32_t pixels, v_u8 value) {
  for (; pixels >= LW_VECTOR_PIXELS; pixels -= LW_VECTOR_PIXELS, to += LW_VECTOR_BYTES) store_u8(to, value);
  for (; pixels; pixels--, to += LW_QUAD) store_pixel(to, value);
}

// Nothing behind the last pixel wanted is read.
LW_INLINE void copy_stride2(uint8_t *to, const uint8_t *from, uint32_t pixels) {
  for (; pixels > LW_VECTOR_PIXELS; pixels -= LW_VECTOR_PIXELS, to += LW_VECTOR_BYTES, from += 2 * LW_VECTOR_BYTES)
    store_u8(to, load_split(from).even);
  for (; pixels; pixels--, to += LW_QUAD, from += 2 * LW_QUAD) copy_pixel(to, from);
}

LW_INLINE void pack_line(const tile_plan *t, uint32_t stride, v_u8 zero_point, const uint8_t *plane, uint8_t *line) {
  for (const run *r = t->runs; r < t->runs + t->run_count; r++) {
    uint8_t *to = line + (size_t)r->at * LW_QUAD;
    const uint8_t *from = plane + r->source * LW_QUAD;
    if (r->outside)
      fill_exactly(to, r->count, zero_point);
    else if (stride == 1)
      copy_pixels(to, from, (size_t)r->count * LW_QUAD);
    else if (stride == 2)
      copy_stride2(to, from, r->count);
    else
      for (uint32_t p = 0; p < r->count; p++) copy_pixel(to + p * LW_QUAD, from + (size_t)p * stride * LW_QUAD);
  }
}

// One output pixel: the quads of a tap side by side.
LW_INLINE void pack_pixel(const lw_pack_args *a, const run *r, uint8_t *line) {
  const uint8_t *from = a->input + r->source * LW_QUAD;
  for (uint32_t quad = 0; quad < a->c4; quad++, line += LW_QUAD, from += a->input_stride) {
    if (r->outside)
      __builtin_memset(line, a->zero_point, LW_QUAD);
    else
      copy_pixel(line, from);
  }
}

void LW_KERNEL(pack)(const void *args) {
  const lw_pack_args a = *(const lw_pack_args *)args;
  const v_u8 zero_point = splat_u8(a.zero_point);
  uint8_t *line = a.tile;
  tile_plan t;
  find_segments(&t, &a);
  for (uint32_t ky = 0; ky < a.kernel_h; ky++)
    for (uint32_t kx = 0; kx < a.kernel_w; kx++) {
      find_runs(&t, &a, ky, kx);
      if (a.tile_stride == LW_QUAD) {
        pack_pixel(&a, t.runs, line);
        line += (size_t)a.c4 * LW_QUAD;
        continue;
      }
      for (uint32_t quad = 0; quad < a.c4; quad++, line += a.tile_stride)
        pack_line(&t, a.stride_w, zero_point, a.input + quad * a.input_stride, line);
    }
}
