// Which blocks a kernel may multiply by twos, adding their products in int16. The activations are 0..127, so a lane of
// products is largest when every positive weight, or every negative one, meets 127: a bound that no input exceeds.
#include <string.h>

#include "lw_internal.h"

#define SAFE_SUM 258u  // 127 * 258 <= 32767

int lw_wants_pairs(const lw_kernel *kernel) { return kernel->family == LW_FAMILY_GEMM && kernel->tier == LW_TIER_AVX2; }

// Positive and negative magnitudes of eight weights, byte by byte: -127 .. 127, so nothing carries.
static inline void split_signs(uint64_t w, uint64_t *positive, uint64_t *negative) {
  const uint64_t sign = (w >> 7) & 0x0101010101010101u;
  const uint64_t mask = (sign << 8) - sign;  // 0xFF in each negative byte
  const uint64_t magnitude = (w ^ mask) + sign;
  *positive = magnitude & ~mask;
  *negative = magnitude & mask;
}

// Sets bit 15 of each 16-bit lane whose two bytes sum to more than SAFE_SUM.
static inline uint64_t over_safe(uint64_t bytes) {
  const uint64_t low = 0x00FF00FF00FF00FFu;
  const uint64_t sums = (bytes & low) + ((bytes >> 8) & low);
  return (sums + (0x8000u - SAFE_SUM - 1) * 0x0001000100010001u) & 0x8000800080008000u;
}

// Two neighbouring blocks, four bytes (one output channel) of each at a time or eight (two channels).
static inline int pair_is_safe(const int8_t *first, size_t block_bytes) {
  const size_t step = block_bytes < sizeof(uint64_t) ? block_bytes : sizeof(uint64_t);
  uint64_t over = 0;
  for (size_t at = 0; at < block_bytes; at += step) {
    uint64_t w0 = 0, w1 = 0, p0, n0, p1, n1;
    memcpy(&w0, first + at, step);
    memcpy(&w1, first + block_bytes + at, step);
    split_signs(w0, &p0, &n0);
    split_signs(w1, &p1, &n1);
    over |= over_safe(p0 + p1) | over_safe(n0 + n1);
  }
  return over == 0;
}

// Greedy from the left, which pairs as many neighbours as can be paired.
static uint32_t pair_row(const int8_t *weights, uint32_t blocks, size_t block_bytes, uint16_t *order /* [blocks] */) {
  uint32_t pairs = 0, alone = 0;
  for (uint32_t b = 0; b < blocks; b++) {
    if (b + 1 < blocks && pair_is_safe(weights + b * block_bytes, block_bytes))
      order[pairs++] = (uint16_t)b++;
    else
      order[blocks - ++alone] = (uint16_t)b;
  }
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
