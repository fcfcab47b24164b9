// The file's checksum: a position-keyed sum of mixed 64-bit words. The mix is a bijection, so that any change of one
// word changes the sum; the sum commutes, so that the words are mixed independently.
#include "lw_internal.h"

static inline uint64_t mix(uint64_t x) {
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93u;
  x ^= x >> 29;
  x *= 0xBF58476D1CE4E5B9u;
  return x ^ (x >> 32);
}

uint64_t lw_checksum(const uint8_t *body, size_t bytes) {
  const uint64_t step = 0x9E3779B97F4A7C15u;
  uint64_t sum[4] = {0, 0, 0, 0};
  uint64_t key = step;
  for (size_t i = 0; i + 32 <= bytes; i += 32, key += 4 * step) {
    uint64_t word[4];
    __builtin_memcpy(word, body + i, sizeof word);
    sum[0] += mix(word[0] + key);
    sum[1] += mix(word[1] + key + step);
    sum[2] += mix(word[2] + key + 2 * step);
    sum[3] += mix(word[3] + key + 3 * step);
  }
  return sum[0] + sum[1] + sum[2] + sum[3];
}
