// What a compiler may call on its own, where there is no library.
#include <stddef.h>
#include <stdint.h>

typedef unsigned __int128 uint128;

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
uint128 __multi3(uint128 a, uint128 b);

// With -mbulk-memory each is one instruction.
void *memcpy(void *restrict to, const void *restrict from, size_t bytes) { return __builtin_memcpy(to, from, bytes); }
void *memset(void *to, int value, size_t bytes) { return __builtin_memset(to, value, bytes); }

static uint128 multiply(uint64_t a, uint64_t b) {  // without a 128-bit product, which would call __multi3
  const uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
  const uint64_t low = a0 * b0;
  const uint64_t middle = a1 * b0 + (low >> 32);  // at most 2^64 - 2^32
  const uint64_t cross = a0 * b1 + (uint32_t)middle;
  const uint64_t high = a1 * b1 + (middle >> 32) + (cross >> 32);
  return (uint128)high << 64 | (cross << 32 | (uint32_t)low);
}

// Overflow checks of 64-bit products.
uint128 __multi3(uint128 a, uint128 b) {
  const uint64_t a0 = (uint64_t)a, b0 = (uint64_t)b;
  const uint64_t crossed = (uint64_t)(a >> 64) * b0 + a0 * (uint64_t)(b >> 64);
  return multiply(a0, b0) + ((uint128)crossed << 64);
}
