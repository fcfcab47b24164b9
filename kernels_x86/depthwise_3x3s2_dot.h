// Depthwise 3x3, stride 2, by four-tap dot products: the taps of a row of the window are neighbours, so one byte
// shuffle of four pixels puts them side by side; the fourth weighs nothing. Include after defining
//   LW_TARGET      the function attribute
//   LW_DOT(s,u,w)  s + the four-tap dot products
//   LW_KERNEL      the name of the kernel
//
// Floor on four vector pipes, per 32 output bytes: 12 shuffles, 12 products, 12 conversions and multiplies, 7 packs and
// clamps: 43 operations, 11 cycles, 3 outputs a cycle.
#include "depthwise.h"

typedef struct {
  __m256i weights[3];  // [row][2][4 channels][3 taps and 0] i8
  lw_output_step output;
} lw_filter_3x3s2;

// Taps of a channel side by side: [4 pixels][4 channels] to [4 channels][4 pixels]. `last`: where the fourth comes
// from.
#define LW_TRANSPOSE(last) 0, 4, 8, (last) + 12, 1, 5, 9, (last) + 13, 2, 6, 10, (last) + 14, 3, 7, 11, (last) + 15

LW_INLINE LW_TARGET void load_weights(const int8_t *w /* [9][4] */, __m256i rows[3]) {
  const __m128i transpose = _mm_setr_epi8(LW_TRANSPOSE(-128));
  for (int r = 0; r < 3; r++) {
    __m128i taps = _mm_loadu_si128((const __m128i *)(const void *)(w + (r == 2 ? 20 : r * 12)));
    if (r == 2) taps = _mm_srli_si128(taps, 4);  // nothing behind the last tap is read
    rows[r] = _mm256_broadcastsi128_si256(_mm_shuffle_epi8(taps, transpose));
  }
}

static LW_TARGET void compute_row(const void *filter, const uint8_t *lines, size_t line_stride, uint8_t *output,
                                  uint32_t output_width, uint32_t rows) {
  const lw_filter_3x3s2 *f = filter;
  const lw_output_step out = f->output;
  const __m256i transpose = _mm256_setr_epi8(LW_TRANSPOSE(0), LW_TRANSPOSE(0));
  (void)rows;
  for (uint32_t x = 0;; x = lw_next_block(x, output_width)) {
    const uint8_t *window = lines + (size_t)x * 2 * LW_QUAD;
    __m256i sum[4] = {out.bias, out.bias, out.bias, out.bias};  // output pixels 0 and 2, 1 and 3, 4 and 6, 5 and 7
    _Pragma("GCC unroll 3") for (int r = 0; r < 3; r++, window += line_stride) {
      _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) {
        const __m256i windows = lw_load(window + (i / 2 * 8 + i % 2 * 2) * (int)LW_QUAD);
        sum[i] = LW_DOT(sum[i], _mm256_shuffle_epi8(windows, transpose), f->weights[r]);
      }
    }
    const __m256i mixed = lw_requantized(sum[0], sum[1], sum[2], sum[3], &out);  // pixels 01 45 23 67
    lw_store_pixels(output + (size_t)x * LW_QUAD, _mm256_permute4x64_epi64(mixed, 0xD8), output_width);
    if (x + LW_BLOCK_PIXELS >= output_width) return;
  }
}

LW_TARGET void LW_KERNEL(const void *args) {
  const lw_depthwise_args *a = args;
  lw_filter_3x3s2 f = {.output = lw_output_step_of(a)};
  load_weights(a->weights, f.weights);
  lw_depthwise_lines(a, 1, compute_row, &f);
}
