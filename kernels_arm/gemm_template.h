// The block-sparse product, one text for every ARM tier. Include after gemm_blocks.h and the tier's
//   start_sums(raw, bias, channels, vectors)               sums that hold the biases, as the tier arranges them
//   add_block(raw, line, w, channels, vectors)             a kept block: its line of pixels and its weights
//   add_pair(raw, line0, line1, w, block, channels, vectors)    two; `block` bytes from one's weights to the other's;
//                                                               returns where the next block's are
//   gather_sums(raw, sum, channels, vectors)               -> sum: [channels][vectors], four pixels each
//
// A micro tile is `channels` output channels (those of one row of blocks, at most four) x `vectors` registers of four
// pixels; its sums stay in registers while the row's kept blocks stream by. Pixels lie along the registers, so a sum
// meets its channel's scale as one number, and storing four channels interleaves them (ST4). The functions below are
// inlined with constants for rows, channels, vectors and sparse.
#ifndef LW_GEMM_TEMPLATE_H
#define LW_GEMM_TEMPLATE_H

#include "gemm_blocks.h"

#define GROUP_PIXELS 16u       // a register of bytes
#define GROUP_VECTORS 4        // registers of sums that become one of bytes
#define LW_CACHE_BYTES 16384u  // of the first-level cache, for the tile

typedef struct {
  int8x16_t zero_point, clamp_min, clamp_max;
  int moves;  // 0: a zero point of 0 and no ceiling below 127, as after most ReLUs: only the floor is left to do
} vector_requant;

LW_TEMPLATE vector_requant vector_requant_of(const lw_requant *r) {
  return (vector_requant){vdupq_n_s8((int8_t)r->zero_point), vdupq_n_s8((int8_t)r->clamp_min),
                          vdupq_n_s8((int8_t)r->clamp_max), r->zero_point != 0 || r->clamp_max != 127};
}

LW_TEMPLATE int32x4_t rounded(int32x4_t sum, float scale) {
  return vcvtnq_s32_f32(vmulq_n_f32(vcvtq_f32_s32(sum), scale));
}

// One channel of 4 * vectors pixels (at most 16; the other bytes are zero). Saturation changes nothing: what leaves
// -128..127 leaves 0..127 on the same side when the zero point is added.
LW_TEMPLATE int8x16_t narrowed(const int32x4_t *sum /* [vectors] */, float scale, const int vectors) {
  const int16x4_t first = vqmovn_s32(rounded(sum[0], scale));
  const int16x8_t low =
      vectors > 1 ? vqmovn_high_s32(first, rounded(sum[1], scale)) : vcombine_s16(first, vdup_n_s16(0));
  int8x16_t bytes = vcombine_s8(vqmovn_s16(low), vdup_n_s8(0));
  if (vectors > 2) {
    const int16x4_t third = vqmovn_s32(rounded(sum[2], scale));
    bytes = vqmovn_high_s16(vget_low_s8(bytes), vqmovn_high_s32(third, rounded(sum[3], scale)));
  }
  return bytes;
}

LW_TEMPLATE void clamp_channels(int8x16_t *channel /* [channels] */, const vector_requant *to, const int channels) {
  if (to->moves) {
    LW_UNROLL(4)
    for (int c = 0; c < channels; c++) channel[c] = vminq_s8(vqaddq_s8(channel[c], to->zero_point), to->clamp_max);
  }
  LW_UNROLL(4)
  for (int c = 0; c < channels; c++) channel[c] = vmaxq_s8(channel[c], to->clamp_min);
}

// Four channels of one group: 16 pixels, or the first 8.
LW_TEMPLATE void store_quads(uint8_t *output, const int8x16_t *channel /* [4] */, const int vectors) {
  if (vectors > 2) {
    const int8x16x4_t quads = {{channel[0], channel[1], channel[2], channel[3]}};
    vst4q_s8((int8_t *)output, quads);
  } else {
    const int8x8x4_t quads = {
        {vget_low_s8(channel[0]), vget_low_s8(channel[1]), vget_low_s8(channel[2]), vget_low_s8(channel[3])}};
    vst4_s8((int8_t *)output, quads);
  }
}

// Float results leave a network once: kept out of the way of the bytes.
__attribute__((noinline)) static void store_f32(const int32_t *sum /* [channels][room] */, uint32_t room,
                                                const float *scale /* [channels] */, uint32_t channels, uint32_t pixels,
                                                float *output, size_t output_stride) {
  for (uint32_t c = 0; c < channels; c++, sum += room, output += output_stride)
    for (uint32_t p = 0; p < pixels; p++) output[p] = (float)sum[p] * scale[c];
}

LW_TEMPLATE void finish_f32(const lw_gemm_args *a, uint32_t channel, uint32_t pixel,
                            const int32x4_t *sum /* [channels][vectors] */, const int channels, const int vectors) {
  const uint32_t room = 4 * (uint32_t)vectors, left = a->pixels - pixel, exist = a->channels - channel;
  int32_t all[MAX_SUMS * 4];
  LW_UNROLL(16)
  for (int s = 0; s < channels * vectors; s++) vst1q_s32(all + 4 * s, sum[s]);
  store_f32(all, room, a->scale + channel, exist < (uint32_t)channels ? exist : (uint32_t)channels,
            left < room ? left : room, a->output_f32 + channel * a->output_f32_stride + pixel, a->output_f32_stride);
}

// Kept blocks yet to come.
typedef struct {
  const uint8_t *line;    // dense: of the next block; sparse: of position 0; at the micro tile's first pixel
  size_t stride;          // bytes between lines
  const uint16_t *index;  // of the next block; NULL when dense
} line_cursor;

LW_TEMPLATE const uint8_t *next_line(const line_cursor *c, const int sparse) {
  return sparse ? c->line + *c->index * c->stride : c->line;
}

// The line of the second sparse block of a pair; the pixels of the micro tile that begins at `pixel`.
#ifdef LW_ZIPPED
LW_TEMPLATE const uint8_t *second_line(const line_cursor *c, const uint8_t *first) { return first + c->stride; }
LW_TEMPLATE const uint8_t *tile_at(const lw_gemm_args *a, uint32_t pixel) {
  return a->tile + (size_t)pixel / GROUP_PIXELS * ((a->k4 + 1) / 2 * 2) * LW_LINE;
}
#else
LW_TEMPLATE const uint8_t *second_line(const line_cursor *c, const uint8_t *first) {
  (void)first;
  return c->line + c->index[1] * c->stride;
}
LW_TEMPLATE const uint8_t *tile_at(const lw_gemm_args *a, uint32_t pixel) { return a->tile + (size_t)pixel * LW_QUAD; }
#endif

// The lines of the next two blocks, and on.
LW_TEMPLATE void next_two(line_cursor *c, const uint8_t **line /* [2] */, const int sparse) {
  if (sparse) {
    line[0] = c->line + c->index[0] * c->stride;
    line[1] = second_line(c, line[0]);
    c->index += 2;
    LW_STEPPED(c->index);
  } else {
    line[0] = c->line, c->line += c->stride;
    line[1] = c->line, c->line += c->stride;
  }
}

// The kept blocks of one row, at the first of some of its channels, and what follows their sums.
typedef struct {
  const int8_t *weights;
  const uint16_t *index;  // NULL when dense
  uint32_t count;
  uint32_t channel;
} row_blocks;

LW_TEMPLATE row_blocks blocks_of(const lw_gemm_args *a, uint32_t channel, const int rows, const int sparse) {
  const uint32_t row = channel / (uint32_t)rows, first = a->row_start[row];
  const int8_t *weights = a->weights + ((size_t)first * (uint32_t)rows + channel % (uint32_t)rows) * LW_QUAD;
  return (row_blocks){weights, sparse ? a->index + first : NULL, a->row_start[row + 1] - first, channel};
}

// Sums of `channels` channels of one row of blocks.
LW_TEMPLATE void accumulate(const lw_gemm_args *a, const row_blocks *b, uint32_t pixel,
                            int32x4_t *sum /* [channels][vectors] */, const int rows, const int channels,
                            const int vectors, const int sparse) {
  const size_t block = (size_t)rows * LW_QUAD;  // bytes
  line_cursor lines = {tile_at(a, pixel), a->tile_stride, b->index};
  const int8_t *w = b->weights;
  int32x4_t raw[MAX_SUMS];
  start_sums(raw, a->bias + b->channel, channels, vectors);
  for (const int8_t *end = w + b->count / 2 * 2 * block; w != end;) {
    const uint8_t *line[2];
    next_two(&lines, line, sparse);
    w = add_pair(raw, line[0], line[1], w, block, channels, vectors);
  }
  if (b->count % 2) add_block(raw, next_line(&lines, sparse), w, channels, vectors);
  gather_sums(raw, sum, channels, vectors);
}

// Some channels of one quad x one micro tile of pixels: as floats to where they belong, or as bytes to `group`.
LW_TEMPLATE void row_tile(const lw_gemm_args *a, const row_blocks *b, uint32_t pixel, const vector_requant *to,
                          int8x16_t *group /* [groups][4] */, const int rows, const int channels, const int vectors,
                          const int sparse) {
  int32x4_t sum[MAX_SUMS];  // [channels][vectors]
  accumulate(a, b, pixel, sum, rows, channels, vectors, sparse);
  if (a->output_f32) {
    finish_f32(a, b->channel, pixel, sum, channels, vectors);
    return;
  }
  const int in_group = vectors < GROUP_VECTORS ? vectors : GROUP_VECTORS;
  const float *scale = a->scale + b->channel;
  LW_UNROLL(4)
  for (int v = 0; v < vectors; v += GROUP_VECTORS) {
    LW_UNROLL(4)
    for (int c = 0; c < channels; c++) group[v + c] = narrowed(sum + c * vectors + v, scale[c], in_group);
    clamp_channels(group + v, to, channels);
  }
}

// The rows of blocks of one output quad. Rows beyond the last channel do not exist; their channels are padding.
typedef struct {
  row_blocks row[LW_QUAD];
  uint32_t count;
} quad_rows;

LW_TEMPLATE quad_rows rows_of(const lw_gemm_args *a, uint32_t quad, const int rows, const int sparse) {
  const uint32_t first = quad * LW_QUAD, room = rows < (int)LW_QUAD ? LW_QUAD / (uint32_t)rows : 1;
  quad_rows q = {.row = {blocks_of(a, first, rows, sparse)}, .count = 1};
  for (; q.count < room && first + q.count * (uint32_t)rows < a->channels; q.count++)
    q.row[q.count] = blocks_of(a, first + q.count * (uint32_t)rows, rows, sparse);
  return q;
}

// One output quad x one micro tile of pixels.
LW_TEMPLATE void quad_tile(const lw_gemm_args *a, const quad_rows *q, uint32_t pixel, const vector_requant *to,
                           const int rows, const int vectors, const int sparse) {
  const int channels = rows < (int)LW_QUAD ? rows : (int)LW_QUAD;
  int8x16_t group[MAX_VECTORS];  // [groups][4]
  row_tile(a, &q->row[0], pixel, to, group, rows, channels, vectors, sparse);
  LW_UNROLL(1)
  for (int c = channels; c < (int)LW_QUAD; c += channels) {
    if ((uint32_t)(c / channels) < q->count) {
      row_tile(a, &q->row[c / channels], pixel, to, group + c, rows, channels, vectors, sparse);
      continue;
    }
    for (int v = 0; v < vectors; v += GROUP_VECTORS)
      for (int i = c; i < c + channels; i++) group[v + i] = to->clamp_min;
  }
  if (a->output_f32) return;
  uint8_t *output = a->output + q->row[0].channel / LW_QUAD * a->output_stride + (size_t)pixel * LW_QUAD;
  LW_UNROLL(4)
  for (int v = 0; v < vectors; v += GROUP_VECTORS) store_quads(output + v * 4 * (int)LW_QUAD, group + v, vectors);
}

// Pixels whose part of the tile stays in the first-level cache while all rows of blocks pass by.
LW_TEMPLATE uint32_t pixels_in_cache(const lw_gemm_args *a, uint32_t step) {
  const size_t line_bytes = (size_t)step * LW_QUAD * a->k4;
  const size_t steps = LW_CACHE_BYTES / line_bytes;
  return step * (steps ? (uint32_t)steps : 1u);
}

// rows: R of the blocks; vectors: registers of pixels in a full micro tile.
LW_TEMPLATE void gemm(const void *args, const int rows, const int vectors, const int sparse) {
  lw_gemm_args own;  // which no store can change: the compiler need not read it again
  __builtin_memcpy(&own, args, sizeof own);
  const lw_gemm_args *a = &own;
  const vector_requant to = vector_requant_of(&a->requant);
  const uint32_t full = 4u * (uint32_t)vectors, chunk = pixels_in_cache(a, full);
  for (uint32_t begin = 0; begin < a->pixels; begin += chunk) {
    const uint32_t end = a->pixels - begin < chunk ? a->pixels : begin + chunk;
    for (uint32_t quad = a->quad_begin; quad < a->quad_end; quad++) {
      const quad_rows rows_of_quad = rows_of(a, quad, rows, sparse), *q = &rows_of_quad;
      uint32_t p = begin;
      for (; p + full <= end; p += full) quad_tile(a, q, p, &to, rows, vectors, sparse);
      while (p < end) {
        const uint32_t left = end - p;
        if (vectors > 2 && left > 4) {
          quad_tile(a, q, p, &to, rows, 4, sparse);
          p += 16;
        } else if (left > 4) {
          quad_tile(a, q, p, &to, rows, 2, sparse);
          p += 8;
        } else {
          quad_tile(a, q, p, &to, rows, 1, sparse);
          p += 8;
        }
      }
    }
  }
}

#endif
