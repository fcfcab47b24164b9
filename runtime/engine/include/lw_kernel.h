// The kernel interface: what the engine hands to a kernel and may rely on. Kernels are stateless, allocate nothing,
// check nothing (the verifier did) and give the bytes that docs/numerics.md defines.
//
// Activations in quads: [ceil(C/4)][plane][4] u8, plane bytes = lw_plane_bytes(H*W). Every plane of more than one pixel
// is a whole, odd number of 64-byte lines, starts 64-byte aligned, and may be read and written to its end.
#ifndef LW_KERNEL_H
#define LW_KERNEL_H

#include "lacewing.h"

#define LW_LINE 64u         // bytes
#define LW_TILE_PIXELS 16u  // pixels of one line of quads: tiles start at multiples of it
#define LW_MAX_TILE 64u     // most pixels that a gemm tile may hold

static inline size_t lw_ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }
// Bytes of one plane (4 channels) of H*W pixels.
static inline size_t lw_plane_bytes(size_t pixels) {
  return pixels == 1 ? LW_QUAD : (lw_ceil_div(pixels * LW_QUAD, LW_LINE) | 1) * LW_LINE;
}

// How an accumulator becomes a u7 (docs/numerics.md, requantize).
typedef struct {
  int32_t zero_point;  // 0..127, of the output
  int32_t clamp_min;   // 0..127
  int32_t clamp_max;   // 0..127
} lw_requant;

// Family GEMM: output channels [4 * quad_begin, 4 * quad_end) of one tile of pixels, more than one output pixel.
// Family GEMV: the same for one pixel; tile is [K4][4] contiguous, tile_stride = 4, pixels = 1.
typedef struct {
  const uint8_t *tile;    // [K4] lines of [pixels][4] u8, tile_stride bytes apart, readable to a multiple of 16 pixels
  size_t tile_stride;     // bytes
  uint32_t pixels;        // 1 .. the kernel's tile
  uint32_t k4;            // quads along K = kh*kw*ceil(C/4)
  const int8_t *weights;  // [kept][R][4] of the whole operator
  const uint16_t *index;  // [kept] position along K4 of each kept block, rising in a row; NULL when dense
  const uint32_t *row_start;  // [rows+1] first kept block of each row of blocks
  // For kernels that add the products of two blocks in int16 (gemm, tiers AVX2 and RELAXED), else NULL. Two
  // neighbouring blocks of a row make a pair if that cannot overflow. Of each row, blocks counted from its first: at
  // the beginning the first blocks of its pairs, from 2*pairs on the blocks in no pair.
  const uint16_t *order;  // [kept]
  const uint16_t *pairs;  // [rows] pairs of each row
  const int32_t *bias;    // [rows*R]
  const float *scale;     // [rows*R]
  lw_requant requant;
  uint32_t block_rows;            // R
  uint32_t channels;              // output channels that exist
  uint32_t quad_begin, quad_end;  // output quads; a multiple of max(R,4)/4 at the beginning, or the end of channels
  uint8_t *output;       // u7: output quad 0 at the tile's first pixel; may be written to a multiple of 16 pixels
  size_t output_stride;  // bytes between output quads
  float *output_f32;     // not NULL: float result instead, [channels][pixels of the image], at the tile's first pixel
  size_t output_f32_stride;  // floats between channels; exactly `pixels` values per channel are written
} lw_gemm_args;

// Family PACK: gathers the pixels of one tile for a KxK (or strided) convolution: im2col.
typedef struct {
  const uint8_t *input;        // quads
  size_t input_stride;         // bytes between planes
  uint32_t c4, height, width;  // of the input
  uint32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  uint32_t output_width;
  uint32_t pixel_begin;  // first output pixel (row-major)
  uint32_t pixels;
  uint8_t zero_point;  // of the input; fills taps outside the image
  uint8_t *tile;       // [kh*kw*c4] lines of [pixels][4], tile_stride bytes apart; the rest of a line: any u7
  size_t tile_stride;  // bytes; at least pixels*4, a multiple of 64 unless pixels == 1 (then 4)
} lw_pack_args;

// Family DEPTHWISE: rows [row_begin, row_end) of one plane of four channels.
typedef struct {
  const uint8_t *input;  // [height*width][4] u8
  uint32_t height, width, output_height, output_width;
  uint32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  const int8_t *weights;  // [kh*kw][4]
  const int32_t *bias;    // [4]
  const float *scale;     // [4]
  lw_requant requant;
  uint8_t zero_point;  // of the input
  uint32_t row_begin, row_end;
  uint8_t *output;       // [row_end-row_begin][output_width][4]: of these rows alone
  uint8_t *scratch;      // scratch_bytes of this worker, 64-byte aligned
  size_t scratch_bytes;  // at least LW_DEPTHWISE_SCRATCH(width, kernel_w)
} lw_depthwise_args;
#define LW_DEPTHWISE_SCRATCH(width, kernel_w) (((size_t)(width) + 2 * (size_t)(kernel_w) + 64) * 64)

// Family ADD, MUL: `count` bytes of two tensors of equal layout (padding included).
// output may be a, and for ADD also b: each byte is read before it is written, and once.
typedef struct {
  const uint8_t *a, *b;  // [count] u8; MUL with b_quad: b is [4], repeated
  uint8_t *output;       // [count]
  size_t count;          // bytes; quads: a multiple of 4, whole planes are readable and writable
  int32_t zero_point_a, zero_point_b;
  float multiplier_a, multiplier_b;  // MUL uses multiplier_a only
  int32_t b_quad;                    // MUL: 1 = broadcast four channels
  lw_requant requant;
} lw_binary_args;

// Family TABLE: out[i] = table[in[i]]; or four tables, one per channel of the quad.
// output may be input.
typedef struct {
  const uint8_t *input;
  uint8_t *output;
  size_t count;          // bytes
  const uint8_t *table;  // [128], or [4][128] if per_channel
  int32_t per_channel;
} lw_table_args;

// Family QUANTIZE: one channel group of a plain float image into one plane of quads.
// channel[j] is NULL for a padding channel (write the zero point). Returns through *nan: set to 1 if a NaN was seen.
typedef struct {
  const float *channel[4];  // each [pixels] f32
  size_t pixels;
  float inverse_scale;
  int32_t zero_point;
  uint8_t *output;  // [pixels][4] u8
  uint32_t *nan;
} lw_quantize_args;

// Family AVG_POOL, MAX_POOL: rows [row_begin, row_end) of one plane of four channels.
typedef struct {
  const uint8_t *input;  // [height*width][4] u8
  uint32_t height, width, output_height, output_width;
  uint32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
  int32_t zero_point;        // of the input (average)
  const float *multipliers;  // average: [1] or [kh*kw]
  uint32_t multiplier_count;
  lw_requant requant;  // average
  uint32_t row_begin, row_end;
  uint8_t *output;  // [output_height*output_width][4]
} lw_pool_args;

typedef enum {
  LW_FAMILY_GEMM,
  LW_FAMILY_GEMV,
  LW_FAMILY_PACK,
  LW_FAMILY_DEPTHWISE,
  LW_FAMILY_ADD,
  LW_FAMILY_MUL,
  LW_FAMILY_TABLE,
  LW_FAMILY_QUANTIZE,
  LW_FAMILY_AVG_POOL,
  LW_FAMILY_MAX_POOL,
  LW_FAMILY_COUNT
} lw_family;

typedef void (*lw_kernel_function)(const void *args);  // args: the family's struct

// What a kernel can take, in the terms of its family; 0 means anything.
typedef struct {
  lw_family family;
  lw_tier tier;
  uint32_t block_rows;  // GEMM, GEMV: R
  int32_t sparse;       // GEMM, GEMV: 1 bitmask, 2 only a bitmask of kept pairs (k even, k + 1), -1 dense, 0 any
  uint32_t kernel;      // DEPTHWISE, POOL: kh = kw = this (with dilation 1)
  uint32_t stride;      // DEPTHWISE, POOL: both strides
  uint32_t tile;        // GEMM: pixels of a tile, a multiple of 16, at most LW_MAX_TILE
  lw_kernel_function function;
  const char *name;  // <family>_<what>__<tier>
} lw_kernel;

// The one list: engine/src/kernels.def, X(family, TIER, block_rows, sparse, kernel, stride, tile, name); the
// function is lw_<name>. Within a family the first entry of the wanted tier that fits wins; a tier without one falls
// back to the next lower tier of the same architecture, at last to scalar.

#endif
