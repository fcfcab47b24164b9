// One pixel (fully connected). Include after
//   PARTS                    registers of sums
//   dot(sum, q, w)           adds the products of 16 activations and 16 weights to [PARTS] registers
//   whole_sums(sum)          [PARTS] registers -> one: a sum of four products per lane
// Weights are the vector operand, straight from memory, and meet a register of activations with the same quads in the
// same lanes: a register holds four blocks of R = 1, two of R = 2, one of R = 4, or half a block of R = 8, whose two
// quads of channels are taken one after the other.
#ifndef LW_GEMV_TEMPLATE_H
#define LW_GEMV_TEMPLATE_H

#include "requantize.h"

#define LANES 4u

LW_INLINE const uint8_t *quad_of(const lw_gemm_args *a, const uint16_t *index, uint32_t i) {
  return a->tile + (index ? index[i] : i) * (size_t)LW_QUAD;
}

// Activations for the LANES / rows blocks from block i on, each quad repeated for `rows` channels.
LW_INLINE v128_t activations(const lw_gemm_args *a, const uint16_t *index, uint32_t i, const uint32_t rows) {
  const v128_t first = wasm_v128_load32_splat(quad_of(a, index, i));
  if (rows >= LANES) return first;
  if (rows == 2) return wasm_i64x2_shuffle(first, wasm_v128_load32_splat(quad_of(a, index, i + 1)), 0, 2);
  if (!index) return wasm_v128_load(a->tile + i * LW_QUAD);
  const v128_t two = wasm_v128_load32_lane(quad_of(a, index, i + 1), first, 1);
  const v128_t three = wasm_v128_load32_lane(quad_of(a, index, i + 2), two, 2);
  return wasm_v128_load32_lane(quad_of(a, index, i + 3), three, 3);
}

// The weights of one block of fewer than four channels; the other lanes are zero.
LW_INLINE v128_t one_block(const int8_t *w, const uint32_t rows) {
  return rows == 1 ? wasm_v128_load32_zero(w) : wasm_v128_load64_zero(w);
}

// Sums by lane, over the blocks of the row that channel c is in.
LW_INLINE v128_t lane_sums(const lw_gemm_args *a, uint32_t channel, const uint32_t rows) {
  const uint32_t row = channel / a->block_rows, first = a->row_start[row], count = a->row_start[row + 1] - first;
  const size_t block_bytes = (size_t)a->block_rows * LW_QUAD;
  const int8_t *w = a->weights + first * block_bytes + channel % a->block_rows * LW_QUAD;
  const uint16_t *index = a->index ? a->index + first : NULL;
  const uint32_t together = rows < LANES ? LANES / rows : 1;
  v128_t sum[PARTS] = {0};
  uint32_t i = 0;
  for (; i + together <= count; i += together, w += together * block_bytes)
    dot(sum, activations(a, index, i, rows), wasm_v128_load(w));
  for (; i < count; i++, w += block_bytes) dot(sum, wasm_v128_load32_splat(quad_of(a, index, i)), one_block(w, rows));
  return whole_sums(sum);
}

// Sums of the four channels of a quad. A channel beyond the last keeps zero.
LW_INLINE v128_t quad_sums(const lw_gemm_args *a, uint32_t quad, const uint32_t rows) {
  if (rows == LANES) return lane_sums(a, quad * LW_QUAD, rows);
  int32_t sum[LW_QUAD] = {0}, lanes[LANES];
  for (uint32_t c = 0; c < LW_QUAD && quad * LW_QUAD + c < a->channels; c += rows) {
    wasm_v128_store(lanes, lane_sums(a, quad * LW_QUAD + c, rows));
    for (uint32_t l = 0; l < LANES; l++) sum[c + l % rows] += lanes[l];
  }
  return wasm_v128_load(sum);
}

static __attribute__((noinline)) void finish_pixel(const lw_gemm_args *a, uint32_t quad, v128_t sums,
                                                   const requantizer *to) {
  const uint32_t channel = quad * LW_QUAD, left = a->channels - channel, count = left < LW_QUAD ? left : LW_QUAD;
  int32_t bias[LW_QUAD] = {0};
  float scale[LW_QUAD] = {0}, products[LW_QUAD];
  for (uint32_t c = 0; c < count; c++) {
    bias[c] = a->bias[channel + c];
    scale[c] = a->scale[channel + c];
  }
  const v128_t whole = wasm_f32x4_convert_i32x4(wasm_i32x4_add(sums, wasm_v128_load(bias)));
  const v128_t product = wasm_f32x4_mul(whole, wasm_v128_load(scale));
  if (a->output_f32) {
    wasm_v128_store(products, product);
    for (uint32_t c = 0; c < count; c++) a->output_f32[(channel + c) * a->output_f32_stride] = products[c];
    return;
  }
  const v128_t words = wasm_i16x8_narrow_i32x4(rounded_and_clamped(product, to), wasm_i32x4_const_splat(0));
  wasm_v128_store32_lane(a->output + quad * a->output_stride, wasm_u8x16_narrow_i16x8(words, words), 0);
}

// rows: the lesser of R and 4.
LW_INLINE void gemv(const lw_gemm_args *a, const uint32_t rows) {
  const requantizer to = requantizer_of(&a->requant);
  for (uint32_t quad = a->quad_begin; quad < a->quad_end; quad++) finish_pixel(a, quad, quad_sums(a, quad, rows), &to);
}

#endif
