// Which blocks a kernel may multiply by twos, adding their products in int16. The activations are 0..127, so a lane of
// products is largest when every positive weight, or every negative one, meets 127: a bound that no input exceeds.
#include "lw_internal.h"

#define SAFE_SUM 258u  // 127 * 258 <= 32767

int lw_wants_pairs(const lw_kernel *kernel) {
  return kernel->family == LW_FAMILY_GEMM && (kernel->tier == LW_TIER_AVX2 || kernel->tier == LW_TIER_RELAXED);
}

// Nonzero lanes where two neighbouring bytes sum to more than SAFE_SUM.
static inline lw_v_pairs over_safe(lw_v_magnitudes bytes) { return (lw_v_pairs)(lw_pair_sums(bytes) > SAFE_SUM); }

static inline lw_v_magnitudes positive_part(lw_v_weights w) { return (lw_v_magnitudes)(w & ~(w >> 7)); }

// Weights are -127 .. 127: no magnitude and no sum of two carries.
static inline lw_v_pairs too_large(lw_v_weights w0, lw_v_weights w1) {
  return over_safe(positive_part(w0) + positive_part(w1)) | over_safe(positive_part(-w0) + positive_part(-w1));
}

static inline int is_zero(lw_v_pairs x) {
  uint64_t half[2];
  __builtin_memcpy(half, &x, sizeof half);
  return (half[0] | half[1]) == 0;
}

// Two neighbouring blocks of `bytes` each, a constant up to 16.
static inline lw_v_pairs blocks_too_large(const int8_t *first, const int8_t *second, size_t bytes) {
  lw_v_weights w0 = {0}, w1 = {0};
  __builtin_memcpy(&w0, first, bytes);
  __builtin_memcpy(&w1, second, bytes);
  return too_large(w0, w1);
}

static inline int neighbours_are_safe(const int8_t *first, size_t block_bytes) {
  switch (block_bytes) {
    case 4:
      return is_zero(blocks_too_large(first, first + 4, 4));
    case 8:
      return is_zero(blocks_too_large(first, first + 8, 8));
    case 16:
      return is_zero(blocks_too_large(first, first + 16, 16));
    default:
      return is_zero(blocks_too_large(first, first + 32, 16) | blocks_too_large(first + 16, first + 48, 16));
  }
}

// Greedy from the left, which pairs as many neighbours as can be paired. Nearly all neighbours of a trained layer are
// safe: with a branch the next test need not wait for this one.
static uint32_t pair_row(const int8_t *weights, uint32_t blocks, size_t block_bytes, uint16_t *order /* [blocks] */) {
  uint32_t pairs = 0, alone = 0, b = 0;
  while (b + 1 < blocks) {
    if (neighbours_are_safe(weights + b * block_bytes, block_bytes)) {
      order[pairs++] = (uint16_t)b;
      b += 2;
    } else {
      order[blocks - 1 - alone++] = (uint16_t)b++;
    }
  }
  if (b < blocks) order[blocks - 1 - alone] = (uint16_t)b;
  return pairs;
}

void lw_plan_pairs(lw_op_plan *plan) {
  const size_t block_bytes = (size_t)plan->conv.block_rows * LW_QUAD;
  const int8_t *weights = (const int8_t *)plan->data + plan->conv.weights;
  for (uint32_t row = 0; row < plan->conv.rows; row++) {
    const uint32_t first = plan->row_start[row];
    plan->pairs[row] = (uint16_t)pair_row(weights + first * block_bytes, plan->row_start[row + 1] - first, block_bytes,
                                          plan->order + first);
  }
}
