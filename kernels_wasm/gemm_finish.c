// One function each for all micro tiles and tiers.
#include "gemm_finish.h"

static void whole_quad_constants(v128_t bias /* [4] i32 */, v128_t scale /* [4] f32 */, quad_constants *k) {
#define CHANNEL(c)                                         \
  k->bias[c] = wasm_i32x4_shuffle(bias, bias, c, c, c, c); \
  k->scale[c] = wasm_i32x4_shuffle(scale, scale, c, c, c, c);
  CHANNEL(0) CHANNEL(1) CHANNEL(2) CHANNEL(3)
#undef CHANNEL
}

void lw_gemm_constants(const lw_gemm_args *a, uint32_t quad, quad_constants *k) {
  if (a->block_rows >= LW_QUAD) {
    whole_quad_constants(wasm_v128_load(a->bias + quad * LW_QUAD), wasm_v128_load(a->scale + quad * LW_QUAD), k);
    return;
  }
  for (uint32_t c = 0; c < LW_QUAD; c++) {
    const uint32_t channel = quad * LW_QUAD + c;
    const int exists = channel < a->channels;
    k->bias[c] = wasm_i32x4_splat(exists ? a->bias[channel] : 0);
    k->scale[c] = wasm_f32x4_splat(exists ? a->scale[channel] : 0);
  }
}

void lw_gemm_finish_u7(uint8_t *output, const v128_t *sum, const quad_constants *k, const sum_requantizer *to,
                       uint32_t vectors) {
  for (uint32_t v = 0; v < vectors; v++)
    wasm_v128_store(output + v * sizeof(v128_t), requantized_quad(sum + v, (int)vectors, k, to));
}

void lw_gemm_finish_f32(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const v128_t *sum,
                        const quad_constants *k, uint32_t vectors) {
  const uint32_t left = a->pixels - pixel, room = vectors * PIXELS, count = left < room ? left : room;
  for (int c = 0; c < (int)LW_QUAD && quad * LW_QUAD + (uint32_t)c < a->channels; c++, sum += vectors) {
    float all[MAX_VECTORS * PIXELS];
    for (uint32_t v = 0; v < vectors; v++) wasm_v128_store(all + v * PIXELS, scaled(sum[v], k, c));
    float *output = a->output_f32 + (quad * LW_QUAD + (uint32_t)c) * a->output_f32_stride + pixel;
    for (uint32_t p = 0; p < count; p++) output[p] = all[p];
  }
}
