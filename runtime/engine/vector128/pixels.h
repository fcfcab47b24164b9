// Copying and filling runs of pixels. All loads of a step come before its stores: the compiler cannot know that they do
// not overlap.
#ifndef LW_PIXELS_H
#define LW_PIXELS_H

LW_INLINE void copy_two(uint8_t *to, const uint8_t *from) {
  const v_u8 a = load_u8(from), b = load_u8(from + LW_VECTOR_BYTES);
  store_u8(to, a);
  store_u8(to + LW_VECTOR_BYTES, b);
}

LW_INLINE void copy_four(uint8_t *to, const uint8_t *from) {
  const v_u8 a = load_u8(from), b = load_u8(from + LW_VECTOR_BYTES);
  const v_u8 c = load_u8(from + 2 * LW_VECTOR_BYTES), d = load_u8(from + 3 * LW_VECTOR_BYTES);
  store_u8(to, a);
  store_u8(to + LW_VECTOR_BYTES, b);
  store_u8(to + 2 * LW_VECTOR_BYTES, c);
  store_u8(to + 3 * LW_VECTOR_BYTES, d);
}

// Exactly `bytes`, a multiple of 4: the last row of a plane has nothing readable behind it.
LW_INLINE void copy_pixels(uint8_t *to, const uint8_t *from, size_t bytes) {
  if (bytes < LW_VECTOR_BYTES) {
    for (size_t i = 0; i < bytes; i += LW_QUAD) __builtin_memcpy(to + i, from + i, LW_QUAD);
    return;
  }
  const size_t last = bytes - LW_VECTOR_BYTES;  // may overlap what is copied before
  size_t i = 0;
  for (; i + 4 * LW_VECTOR_BYTES <= bytes; i += 4 * LW_VECTOR_BYTES) copy_four(to + i, from + i);
  if (i + 2 * LW_VECTOR_BYTES <= bytes) {
    copy_two(to + i, from + i);
    i += 2 * LW_VECTOR_BYTES;
  }
  if (i < last) store_u8(to + i, load_u8(from + i));
  store_u8(to + last, load_u8(from + last));
}

// May write up to three pixels more. Mostly there are none or few.
LW_INLINE void fill_pixels(uint8_t *to, size_t pixels, v_u8 value) {
  if (pixels == 0) return;
  store_u8(to, value);
  for (size_t i = LW_VECTOR_PIXELS; i < pixels; i += LW_VECTOR_PIXELS) store_u8(to + i * LW_QUAD, value);
}

#endif
