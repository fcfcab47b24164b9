#include "gemm_finish.h"

// What the sums of one output quad in a micro tile still lack. A padding channel has no bias and no scale.
typedef struct {
  v128_t bias[LW_QUAD], scale[LW_QUAD];
} quad_constants;

LW_INLINE quad_constants constants_of(const lw_gemm_args *a, uint32_t quad) {
  quad_constants k;
  for (uint32_t c = 0; c < LW_QUAD; c++) {
    const uint32_t channel = quad * LW_QUAD + c;
    const int exists = channel < a->channels;
    k.bias[c] = wasm_i32x4_splat(exists ? a->bias[channel] : 0);
    k.scale[c] = wasm_f32x4_splat(exists ? a->scale[channel] : 0);
  }
  return k;
}

LW_INLINE v128_t scaled(v128_t sum, const quad_constants *k, const int c) {
  return wasm_f32x4_mul(wasm_f32x4_convert_i32x4(wasm_i32x4_add(sum, k->bias[c])), k->scale[c]);
}

// [4 pixels] i32 of channel c -> its byte of [4 pixels] quads.
LW_INLINE v128_t requantize(v128_t sum, const quad_constants *k, const requantizer *to, const int c) {
  return wasm_i32x4_shl(rounded_and_clamped(scaled(sum, k, c), to), (uint32_t)(8 * c));
}

void lw_gemm_finish_u7(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const v128_t *sum /* [4][vectors] */,
                       uint32_t vectors) {
  const quad_constants k = constants_of(a, quad);
  const requantizer to = requantizer_of(&a->requant);
  uint8_t *output = a->output + quad * a->output_stride + (size_t)pixel * LW_QUAD;
  for (uint32_t v = 0; v < vectors; v++, sum++, output += sizeof(v128_t)) {
    const v128_t low = wasm_v128_or(requantize(sum[0], &k, &to, 0), requantize(sum[vectors], &k, &to, 1));
    const v128_t high =
        wasm_v128_or(requantize(sum[2 * vectors], &k, &to, 2), requantize(sum[3 * vectors], &k, &to, 3));
    wasm_v128_store(output, wasm_v128_or(low, high));
  }
}

void lw_gemm_finish_f32(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const v128_t *sum /* [4][vectors] */,
                        uint32_t vectors) {
  const quad_constants k = constants_of(a, quad);
  const uint32_t left = a->pixels - pixel, room = vectors * PIXELS, count = left < room ? left : room;
  for (int c = 0; c < (int)LW_QUAD && quad * LW_QUAD + (uint32_t)c < a->channels; c++, sum += vectors) {
    float all[MAX_VECTORS * PIXELS];
    for (uint32_t v = 0; v < vectors; v++) wasm_v128_store(all + v * PIXELS, scaled(sum[v], &k, c));
    float *output = a->output_f32 + (quad * LW_QUAD + (uint32_t)c) * a->output_f32_stride + pixel;
    for (uint32_t p = 0; p < count; p++) output[p] = all[p];
  }
}
