// Unsigned 64-bit arithmetic that saturates instead of wrapping: a saturated size fails every later limit.
#ifndef LW_CHECKED_H
#define LW_CHECKED_H

#include <stdint.h>

static inline uint64_t lw_sat_add(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }

static inline uint64_t lw_sat_mul(uint64_t a, uint64_t b) { return b != 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b; }

static inline uint64_t lw_sat_align(uint64_t n, uint64_t unit) {
  const uint64_t rest = n % unit;
  return rest == 0 ? n : lw_sat_add(n, unit - rest);
}

#endif
