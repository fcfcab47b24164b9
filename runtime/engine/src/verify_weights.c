// Weights: range, padding, blocks that say nothing, and the proof that no accumulator or product overflows.
// These loops see every byte of the model before anything runs, so they see many at once.
#include "checked.h"
#include "lw_internal.h"

#define LANES sizeof(lw_v_weights)  // each always belongs to one output channel
#define CHANNELS (LANES / LW_QUAD)

typedef uint32_t v_quads __attribute__((vector_size(LANES)));

// |bias| + 127 * sum|w| < 2^31, and the requantized product below 2^31, rounded as the kernels round it.
static lw_status check_accumulator(uint64_t op, int64_t bias, uint32_t sum, float scale, lw_error *error) {
  const uint64_t bound = (uint64_t)(bias < 0 ? -bias : bias) + (uint64_t)LW_ACTIVATION_MAX * sum;
  if (bound > INT32_MAX) return lw_fail(error, LW_E_ACCUMULATOR, "op", op, bound, INT32_MAX);
  const int fits = lw_is_normal(scale) && (float)(int32_t)bound * scale < 2147483648.0f;
  return fits ? LW_OK : lw_fail(error, LW_E_MULTIPLIER, "op", op, bound, INT32_MAX);
}

static inline lw_v_magnitudes load_magnitudes(const int8_t *weights, size_t bytes) {
  lw_v_weights w = {0};
  __builtin_memcpy(&w, weights, bytes);
  const lw_v_magnitudes sign = (lw_v_magnitudes)(w >> 7);
  return ((lw_v_magnitudes)w ^ sign) - sign;  // unsigned: -128 has a magnitude, too
}

static inline v_quads quad_sums(lw_v_pairs m) { return ((v_quads)m & 0xFFFF) + ((v_quads)m >> 16); }

// Sums of |w| over the first LANES of every `step` bytes, byte i in sum i / 4. Returns 1 if some weight is -128.
// A function of its own: a browser optimizes whole functions, and would do so with all the checks around this loop.
static __attribute__((noinline)) int sum_magnitudes(const int8_t *weights, size_t bytes, size_t step,
                                                    uint32_t sums[CHANNELS]) {
  lw_v_magnitudes most = {0};
  v_quads total = {0};
  size_t i = 0;
  while (i + LANES <= bytes) {
    lw_v_pairs part = {0};
    const size_t last = bytes - LANES, full = i + 254 * step;  // 2 * 128 * 255 < 2^16
    for (const size_t end = full < last ? full : last; i <= end; i += step) {
      const lw_v_magnitudes m = load_magnitudes(weights + i, LANES);
      most |= m;
      part += lw_pair_sums(m);
    }
    total += quad_sums(part);
  }
  if (i < bytes) {  // a row of low blocks may end within a vector
    const lw_v_magnitudes m = load_magnitudes(weights + i, bytes - i);
    most |= m;
    total += quad_sums(lw_pair_sums(m));
  }
  __builtin_memcpy(sums, &total, sizeof total);
  uint64_t words[2];
  __builtin_memcpy(words, &most, sizeof most);
  return ((words[0] | words[1]) & 0x8080808080808080u) != 0;  // 128 alone has the highest bit
}

static int has_zero_block(const int8_t *weights, uint64_t blocks, uint32_t block_bytes) {
  uint64_t zeros = 0;
  if (block_bytes == 4) {
    for (uint64_t b = 0; b < blocks; b++) {
      uint32_t word;
      __builtin_memcpy(&word, weights + b * 4, sizeof word);
      zeros += word == 0;
    }
    return zeros != 0;
  }
  const uint32_t words = block_bytes / 8;
  for (uint64_t b = 0; b < blocks; b++) {
    uint64_t any = 0;
    for (uint32_t k = 0; k < words; k++) {
      uint64_t word;
      __builtin_memcpy(&word, weights + b * block_bytes + k * 8, sizeof word);
      any |= word;
    }
    zeros += any == 0;
  }
  return zeros != 0;
}

static int mask_has(const uint8_t *mask, uint32_t k4) { return (mask[k4 / 8] >> (k4 % 8)) & 1; }

static uint32_t row_kept(const lw_conv_parts *parts, const uint8_t *mask) {
  return parts->sparse ? (uint32_t)lw_popcount(mask, parts->mask_stride) : parts->k4;
}

typedef struct {
  const lw_file *file;
  const lw_op_record *op;
  lw_conv_parts parts;
  const uint8_t *data;
  uint32_t index;
  uint32_t spare_columns;  // padding channels of the input's last quad
  lw_error *error;
} conv_check;

static lw_status fail(const conv_check *c, lw_status status, uint64_t found, uint64_t wanted) {
  return lw_fail(c->error, status, "op", c->index, found, wanted);
}

static lw_status check_mask(const conv_check *c) {
  const lw_conv_parts *p = &c->parts;
  if (!p->sparse) return LW_OK;
  if (p->kept == (uint64_t)p->rows * p->k4) return fail(c, LW_E_MASK_BITS, p->kept, p->kept - 1);
  for (uint32_t row = 0; row < p->rows; row++)
    for (uint32_t bit = p->k4; bit < p->mask_stride * 8; bit++)
      if (mask_has(c->data + row * p->mask_stride, bit)) return fail(c, LW_E_MASK_BITS, bit, p->k4);
  return LW_OK;
}

static lw_status check_part_padding(const conv_check *c) {
  const lw_conv_parts *p = &c->parts;
  const uint64_t values = (uint64_t)p->rows * p->block_rows * 4;
  const uint64_t ends[4][2] = {{p->rows * p->mask_stride, p->weights},
                               {p->weights + p->kept * p->block_rows * LW_QUAD, p->bias},
                               {p->bias + values, p->scale},
                               {p->scale + values, p->end}};
  for (uint32_t i = 0; i < 4; i++)
    if (!lw_all_zero(c->data + ends[i][0], ends[i][1] - ends[i][0])) return fail(c, LW_E_PADDING, i, 0);
  return LW_OK;
}

// Columns of the last input quad that stand for no channel must be zero, at every tap.
static lw_status check_spare_columns(const conv_check *c, const uint8_t *mask, const int8_t *weights) {
  const lw_conv_parts *p = &c->parts;
  for (uint32_t k = 0; k < p->k4; k++) {
    if (p->sparse && !mask_has(mask, k)) continue;
    if (k % p->c4 == p->c4 - 1)
      for (uint32_t r = 0; r < p->block_rows; r++)
        for (uint32_t column = LW_QUAD - c->spare_columns; column < LW_QUAD; column++)
          if (weights[r * LW_QUAD + column] != 0) return fail(c, LW_E_WEIGHT_PADDING, k, 0);
    weights += p->block_rows * LW_QUAD;
  }
  return LW_OK;
}

static lw_status check_channel(const conv_check *c, uint32_t channel, uint32_t sum) {
  int32_t bias;
  float scale;
  uint32_t scale_bits;
  __builtin_memcpy(&bias, c->data + c->parts.bias + (uint64_t)channel * 4, sizeof bias);
  __builtin_memcpy(&scale, c->data + c->parts.scale + (uint64_t)channel * 4, sizeof scale);
  __builtin_memcpy(&scale_bits, &scale, sizeof scale_bits);
  if (channel < c->parts.channels) return check_accumulator(c->index, bias, sum, scale, c->error);
  return sum == 0 && bias == 0 && scale_bits == 0 ? LW_OK : fail(c, LW_E_WEIGHT_PADDING, channel, c->parts.channels);
}

static lw_status check_row(const conv_check *c, uint32_t row, uint64_t *kept) {
  const lw_conv_parts *p = &c->parts;
  const uint32_t block_bytes = p->block_rows * LW_QUAD;
  const uint8_t *mask = c->data + row * p->mask_stride;
  const int8_t *weights = (const int8_t *)c->data + p->weights + *kept * block_bytes;
  const uint32_t blocks = row_kept(p, mask);
  uint32_t sums[2 * CHANNELS] = {0};  // by output channel; heights are powers of two, the largest two vectors
  const size_t bytes = (size_t)blocks * block_bytes, step = block_bytes < LANES ? LANES : block_bytes;
  for (size_t at = 0; at < step && at < bytes; at += LANES) {
    uint32_t found[CHANNELS];
    if (sum_magnitudes(weights + at, bytes - at, step, found)) return fail(c, LW_E_WEIGHT_RANGE, 128, 127);
    for (size_t k = 0; k < CHANNELS; k++) sums[(at / LW_QUAD + k) & (p->block_rows - 1)] += found[k];
  }
  if (p->sparse && has_zero_block(weights, blocks, block_bytes)) return fail(c, LW_E_BLOCK_ZERO, row, 0);
  if (c->spare_columns != 0) LW_TRY(check_spare_columns(c, mask, weights));
  for (uint32_t r = 0; r < p->block_rows; r++) LW_TRY(check_channel(c, row * p->block_rows + r, sums[r]));
  *kept += blocks;
  return LW_OK;
}

lw_status lw_verify_conv_data(const lw_file *file, uint32_t i, lw_error *error) {
  const lw_op_record *op = &file->ops[i];
  conv_check c = {file, op, lw_conv_parts_of(file, op), file->data + op->data_offset, i, 0, error};
  c.spare_columns = (LW_QUAD - file->tensors[op->inputs[0]].dims[1] % LW_QUAD) % LW_QUAD;
  LW_TRY(check_mask(&c));
  LW_TRY(check_part_padding(&c));
  uint64_t kept = 0;
  for (uint32_t row = 0; row < c.parts.rows; row++) LW_TRY(check_row(&c, row, &kept));
  return LW_OK;
}

lw_status lw_verify_depthwise_data(const lw_file *file, uint32_t i, lw_error *error) {
  const lw_op_record *op = &file->ops[i];
  const lw_window w = lw_window_of(op);
  const uint32_t channels = file->tensors[op->inputs[0]].dims[1];
  const uint64_t padded = lw_sat_align(channels, LW_QUAD), taps = (uint64_t)w.kernel_h * w.kernel_w;
  const uint64_t sizes[3] = {padded * taps, padded * 4, padded * 4};
  const uint8_t *parts[3];  // weights, bias, scale
  const uint8_t *at = file->data + op->data_offset;
  for (uint32_t k = 0; k < 3; k++) {
    parts[k] = at;
    at += lw_sat_align(sizes[k], LW_ALIGNMENT);
    if (!lw_all_zero(parts[k] + sizes[k], (uint64_t)(at - parts[k]) - sizes[k]))
      return lw_fail(error, LW_E_PADDING, "op", i, k, 0);
  }
  for (uint32_t channel = 0; channel < padded; channel++) {
    const int8_t *weights = (const int8_t *)parts[0] + (uint64_t)(channel / LW_QUAD) * taps * LW_QUAD;
    uint32_t sum = 0;
    for (uint64_t tap = 0; tap < taps; tap++) {
      const int32_t weight = weights[tap * LW_QUAD + channel % LW_QUAD];
      if (weight == -128) return lw_fail(error, LW_E_WEIGHT_RANGE, "op", i, 128, 127);
      sum += (uint32_t)(weight < 0 ? -weight : weight);
    }
    int32_t bias;
    float scale;
    uint32_t scale_bits;
    __builtin_memcpy(&bias, parts[1] + (uint64_t)channel * 4, sizeof bias);
    __builtin_memcpy(&scale, parts[2] + (uint64_t)channel * 4, sizeof scale);
    __builtin_memcpy(&scale_bits, &scale, sizeof scale_bits);
    if (channel < channels)
      LW_TRY(check_accumulator(i, bias, sum, scale, error));
    else if (sum != 0 || bias != 0 || scale_bits != 0)
      return lw_fail(error, LW_E_WEIGHT_PADDING, "op", i, channel, channels);
  }
  return LW_OK;
}
