// Spatial resize of one plane, from index and weight tables that the file holds.
#include "lw_reference.h"

void lw_resize_nearest_plane(const uint8_t *input, uint32_t width, const uint16_t *row_low, uint32_t output_height,
                             const uint16_t *col_low, uint32_t output_width, uint8_t *output) {
  for (uint32_t y = 0; y < output_height; y++) {
    const uint8_t *row = input + (size_t)row_low[y] * width * LW_QUAD;  // [width][4] u8
    for (uint32_t x = 0; x < output_width; x++, output += LW_QUAD)
      __builtin_memcpy(output, row + (size_t)col_low[x] * LW_QUAD, LW_QUAD);
  }
}

void lw_resize_bilinear_plane(const uint8_t *input, uint32_t width, const lw_resize_axis *rows,
                              const lw_resize_axis *cols, uint8_t *output) {
  for (uint32_t y = 0; y < rows->output_size; y++) {
    const uint8_t *low_row = input + (size_t)rows->low[y] * width * LW_QUAD;    // [width][4] u8
    const uint8_t *high_row = input + (size_t)rows->high[y] * width * LW_QUAD;  // [width][4] u8
    const int32_t wr = rows->weight[y];
    for (uint32_t x = 0; x < cols->output_size; x++, output += LW_QUAD) {
      const size_t low = (size_t)cols->low[x] * LW_QUAD, high = (size_t)cols->high[x] * LW_QUAD;
      const int32_t wc = cols->weight[x];
      for (uint32_t c = 0; c < LW_QUAD; c++) {
        const int32_t top = (256 - wc) * low_row[low + c] + wc * low_row[high + c];
        const int32_t bottom = (256 - wc) * high_row[low + c] + wc * high_row[high + c];
        output[c] = (uint8_t)lw_round((float)((256 - wr) * top + wr * bottom) * 0x1p-16f);
      }
    }
  }
}
