// One pixel (fully connected), one text for both ARM tiers: weights are the vector operand, straight from memory, which
// bounds the speed; each register of weights meets a register of activations with the same quads in the same lanes.
// Include after defining LW_TARGET and dot(sum, quads, weights), which adds each lane's four products.
//
// A register holds four lanes of four weights: four blocks of R = 1, two of R = 2, one of R = 4, half of one of R = 8.
// The sums' lane l belongs to output channel l mod R of the row of blocks.
#ifndef LW_GEMV_TEMPLATE_H
#define LW_GEMV_TEMPLATE_H

#define LANES 4u

LW_TEMPLATE const int32_t *quad_at(const uint8_t *tile, size_t k) {
  return (const int32_t *)(const void *)(tile + k * LW_QUAD);
}

// Activations for the blocks of one register, from block i on, each quad repeated R times; k counts along K4.
LW_TEMPLATE int8x16_t dense_lanes(const uint8_t *tile, size_t i, const uint32_t rows) {
  if (rows >= LANES) return vreinterpretq_s8_s32(vld1q_dup_s32(quad_at(tile, i)));
  if (rows == 1) return vld1q_s8((const int8_t *)quad_at(tile, i));
  const int32x2_t two = vld1_s32(quad_at(tile, i));
  return vreinterpretq_s8_s32(vcombine_s32(vdup_lane_s32(two, 0), vdup_lane_s32(two, 1)));
}

LW_TEMPLATE int8x16_t sparse_lanes(const uint8_t *tile, const uint16_t *k, const uint32_t rows) {
  int32x4_t lanes = vld1q_dup_s32(quad_at(tile, k[0]));
  if (rows == 2) lanes = vcombine_s32(vget_low_s32(lanes), vld1_dup_s32(quad_at(tile, k[1])));
  if (rows == 1) {
    lanes = vld1q_lane_s32(quad_at(tile, k[1]), lanes, 1);
    lanes = vld1q_lane_s32(quad_at(tile, k[2]), lanes, 2);
    lanes = vld1q_lane_s32(quad_at(tile, k[3]), lanes, 3);
  }
  return vreinterpretq_s8_s32(lanes);
}

// The kept blocks of one row.
typedef struct {
  const uint8_t *tile;
  const int8_t *weights;
  const uint16_t *index;  // NULL when dense
  uint32_t count;
} row_blocks;

LW_TEMPLATE int8x16_t lanes_of(const row_blocks *b, size_t i, const uint32_t rows, const int sparse) {
  return sparse ? sparse_lanes(b->tile, b->index + i, rows) : dense_lanes(b->tile, i, rows);
}

// Blocks that fill no register, one product at a time.
static void add_rest(const row_blocks *b, uint32_t i, int32_t *lanes /* [R] */, uint32_t rows) {
  for (; i < b->count; i++) {
    const uint8_t *q = b->tile + (b->index ? b->index[i] : i) * (size_t)LW_QUAD;
    const int8_t *w = b->weights + (size_t)i * rows * LW_QUAD;
    for (uint32_t k = 0; k < rows * LW_QUAD; k++) lanes[k / LW_QUAD] += q[k % LW_QUAD] * w[k];
  }
}

// Four sums are in flight: of registers 0 .. 3 of weights, of the next four and so on.
LW_TEMPLATE void row_sums(const row_blocks *b, int32_t *lanes /* [8] */, const uint32_t rows, const int sparse) {
  const uint32_t blocks = rows < LANES ? LANES / rows : 1, registers = rows > LANES ? rows / LANES : 1;
  const uint32_t step = 4 / registers * blocks;  // blocks of four registers
  const int8_t *w = b->weights;
  int32x4_t sum[4];
  LW_UNROLL(4)
  for (int s = 0; s < 4; s++) sum[s] = vdupq_n_s32(0);
  uint32_t i = 0;
  for (; i + step <= b->count; i += step, w += 64) {
    LW_UNROLL(4)
    for (uint32_t s = 0; s < 4; s++)
      sum[s] = dot(sum[s], lanes_of(b, i + s / registers * blocks, rows, sparse), vld1q_s8(w + 16 * s));
  }
  for (; i + blocks <= b->count; i += blocks, w += 16 * registers) {
    LW_UNROLL(2)
    for (uint32_t s = 0; s < registers; s++) sum[s] = dot(sum[s], lanes_of(b, i, rows, sparse), vld1q_s8(w + 16 * s));
  }
  sum[0] = vaddq_s32(sum[0], sum[2]);
  sum[1] = vaddq_s32(sum[1], sum[3]);
  vst1q_s32(lanes, registers == 2 ? sum[0] : vaddq_s32(sum[0], sum[1]));
  vst1q_s32(lanes + LANES, registers == 2 ? sum[1] : vdupq_n_s32(0));
  if (blocks > 1) add_rest(b, i, lanes, rows);
}

LW_TEMPLATE void finish_quad(const lw_gemm_args *a, uint32_t quad, const int32_t *sum /* [4] */,
                             const float *scale /* [4] */) {
  const float32x4_t scaled = vmulq_f32(vcvtq_f32_s32(vld1q_s32(sum)), vld1q_f32(scale));
  if (a->output_f32) {
    float four[LW_QUAD];
    vst1q_f32(four, scaled);
    for (uint32_t c = 0; c < LW_QUAD && quad * LW_QUAD + c < a->channels; c++)
      a->output_f32[(quad * LW_QUAD + c) * a->output_f32_stride] = four[c];
    return;
  }
  const int16x4_t rounded = vqmovn_s32(vcvtnq_s32_f32(scaled));
  int16x4_t words = vqadd_s16(rounded, vdup_n_s16((int16_t)a->requant.zero_point));
  words = vmax_s16(words, vdup_n_s16((int16_t)a->requant.clamp_min));
  words = vmin_s16(words, vdup_n_s16((int16_t)a->requant.clamp_max));
  const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
  vst1_lane_s32((int32_t *)(void *)(a->output + quad * a->output_stride), vreinterpret_s32_s8(bytes), 0);
}

// Sums and scales of one row of blocks into the quads it covers; a channel beyond the last row keeps zeros.
LW_TEMPLATE void add_row(const lw_gemm_args *a, uint32_t channel, int32_t *sum /* [R] */, float *scale /* [R] */,
                         const uint32_t rows, const int sparse) {
  const uint32_t row = channel / rows, first = a->row_start[row];
  const row_blocks b = {a->tile, a->weights + (size_t)first * rows * LW_QUAD, sparse ? a->index + first : NULL,
                        a->row_start[row + 1] - first};
  int32_t lanes[2 * LANES];
  row_sums(&b, lanes, rows, sparse);
  __builtin_memcpy(sum, a->bias + channel, rows * sizeof *sum);
  __builtin_memcpy(scale, a->scale + channel, rows * sizeof *scale);
  for (uint32_t l = 0; l < 2 * LANES; l++) sum[l % rows] += lanes[l];
}

LW_TEMPLATE void gemv(const lw_gemm_args *a, const uint32_t rows, const int sparse) {
  const uint32_t unit = rows < LW_QUAD ? LW_QUAD : rows, end = a->quad_end * LW_QUAD;
  for (uint32_t channel = a->quad_begin * LW_QUAD; channel < end; channel += unit) {
    int32_t sum[2 * LANES] = {0};
    float scale[2 * LANES] = {0};
    for (uint32_t c = 0; c < unit && channel + c < a->channels; c += rows)
      add_row(a, channel + c, sum + c, scale + c, rows, sparse);
    for (uint32_t c = 0; c < unit && channel + c < end; c += LW_QUAD)
      finish_quad(a, (channel + c) / LW_QUAD, sum + c, scale + c);
  }
}

#endif
