// Convolution as a product of sparse weights and a tile of pixels.
#include "lw_reference.h"

typedef struct {
  uint32_t first, last;   // kept blocks of the channel's row of blocks
  const int8_t *weights;  // [last-first] blocks, at this channel's four weights
  size_t weight_stride;   // bytes between blocks
} channel_blocks;

static channel_blocks blocks_of(const lw_gemm_args *a, uint32_t channel) {
  const uint32_t row = channel / a->block_rows;
  const size_t block_bytes = (size_t)a->block_rows * LW_QUAD;
  channel_blocks b;
  b.first = a->row_start[row];
  b.last = a->row_start[row + 1];
  b.weights = a->weights + b.first * block_bytes + (channel % a->block_rows) * LW_QUAD;
  b.weight_stride = block_bytes;
  return b;
}

static const uint8_t *line_of(const lw_gemm_args *a, const channel_blocks *b, uint32_t block) {
  const size_t k = a->index ? a->index[block] : block - b->first;
  return a->tile + k * a->tile_stride;
}

static inline int32_t dot4(const uint8_t *q, const int8_t *w) {
  return q[0] * w[0] + q[1] * w[1] + q[2] * w[2] + q[3] * w[3];
}

static void accumulate_tile(const lw_gemm_args *a, uint32_t channel, int32_t *sum /* [pixels] */) {
  const channel_blocks b = blocks_of(a, channel);
  const int8_t *w = b.weights;
  for (uint32_t p = 0; p < a->pixels; p++) sum[p] = a->bias[channel];
  for (uint32_t block = b.first; block < b.last; block++, w += b.weight_stride) {
    const uint8_t *line = line_of(a, &b, block);  // [pixels][4] u8
    for (uint32_t p = 0; p < a->pixels; p++) sum[p] += dot4(line + p * LW_QUAD, w);
  }
}

static int32_t accumulate_pixel(const lw_gemm_args *a, uint32_t channel) {
  const channel_blocks b = blocks_of(a, channel);
  const int8_t *w = b.weights;
  int32_t sum = a->bias[channel];
  for (uint32_t block = b.first; block < b.last; block++, w += b.weight_stride) sum += dot4(line_of(a, &b, block), w);
  return sum;
}

// A padding channel of the last quad has no weights, bias or scale: it takes the zero point.
static void store_u7(const lw_gemm_args *a, uint32_t channel, const int32_t *sum /* [pixels], NULL = padding */) {
  uint8_t *out = a->output + channel / LW_QUAD * a->output_stride + channel % LW_QUAD;
  for (uint32_t p = 0; p < a->pixels; p++)
    out[p * LW_QUAD] =
        sum ? lw_requantize(sum[p], a->scale[channel], &a->requant) : lw_requantize(0, 0.0f, &a->requant);
}

static void store_f32(const lw_gemm_args *a, uint32_t channel, const int32_t *sum /* [pixels] */) {
  float *out = a->output_f32 + channel * a->output_f32_stride;
  for (uint32_t p = 0; p < a->pixels; p++) out[p] = (float)sum[p] * a->scale[channel];
}

static void store(const lw_gemm_args *a, uint32_t channel, const int32_t *sum /* [pixels], NULL = padding */) {
  if (!a->output_f32)
    store_u7(a, channel, sum);
  else if (sum)
    store_f32(a, channel, sum);
}

void lw_gemm__scalar(const void *args) {
  const lw_gemm_args *a = args;
  int32_t sum[LW_MAX_TILE];
  for (uint32_t channel = a->quad_begin * LW_QUAD; channel < a->quad_end * LW_QUAD; channel++) {
    if (channel < a->channels) accumulate_tile(a, channel, sum);
    store(a, channel, channel < a->channels ? sum : NULL);
  }
}

void lw_gemv__scalar(const void *args) {
  const lw_gemm_args *a = args;
  for (uint32_t channel = a->quad_begin * LW_QUAD; channel < a->quad_end * LW_QUAD; channel++) {
    int32_t sum = 0;
    if (channel < a->channels) sum = accumulate_pixel(a, channel);
    store(a, channel, channel < a->channels ? &sum : NULL);
  }
}
