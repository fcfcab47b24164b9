// Which blocks a kernel may multiply by twos, adding their products in int16. The activations are 0..127, so a lane of
// products is largest when every positive weight, or every negative one, meets 127: a bound that no input exceeds.
#include "lw_internal.h"

#define SAFE_SUM 258u  // 127 * 258 <= 32767

int lw_wants_pairs(const lw_kernel *kernel) {
  return kernel->family == LW_FAMILY_GEMM && (kernel->tier == LW_TIER_AVX2 || kernel->tier == LW_TIER_RELAXED);
}

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

// Two neighbouring blocks, `words` words of eight bytes (two output channels) each.
static inline int pair_is_safe(const int8_t *first, const int8_t *second, uint32_t words) {
  uint64_t over = 0;
  for (uint32_t k = 0; k < words; k++) {
    uint64_t w0, w1, p0, n0, p1, n1;
    __builtin_memcpy(&w0, first + k * sizeof w0, sizeof w0);
    __builtin_memcpy(&w1, second + k * sizeof w1, sizeof w1);
    split_signs(w0, &p0, &n0);
    split_signs(w1, &p1, &n1);
    over |= over_safe(p0 + p1) | over_safe(n0 + n1);
  }
  return over == 0;
}

// Two neighbouring blocks of one channel each: one word holds both.
static inline int narrow_pair_is_safe(const int8_t *pair) {
  uint64_t w, p, n;
  __builtin_memcpy(&w, pair, sizeof w);
  split_signs(w, &p, &n);
  return (over_safe((p & UINT32_MAX) + (p >> 32)) | over_safe((n & UINT32_MAX) + (n >> 32))) == 0;
}

static inline int neighbours_are_safe(const int8_t *first, size_t block_bytes) {
  switch (block_bytes) {
    case 4:
      return narrow_pair_is_safe(first);
    case 8:
      return pair_is_safe(first, first + 8, 1);
    case 16:
      return pair_is_safe(first, first + 16, 2);
    default:
      return pair_is_safe(first, first + 32, 4);
  }
}

// Greedy from the left, which pairs as many neighbours as can be paired.
static uint32_t pair_row(const int8_t *weights, uint32_t blocks, size_t block_bytes, uint16_t *order /* [blocks] */) {
  uint32_t pairs = 0, alone = 0, b = 0;
  while (b + 1 < blocks) {  // no branch on the weights: they are as good as random
    const uint32_t safe = (uint32_t)neighbours_are_safe(weights + b * block_bytes, block_bytes);
    order[safe ? pairs : blocks - 1 - alone] = (uint16_t)b;
    pairs += safe;
    alone += 1 - safe;
    b += 1 + safe;
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
