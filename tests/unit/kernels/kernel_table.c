// The kernel list as a table that the tests walk, and what they need of the machine and the sanitizer.
#include "lw_internal.h"
#include "lw_reference.h"

#define X(family, TIER, block_rows, sparse, kernel, stride, tile, name) void lw_##name(const void *args);
#include "kernels.def"
#undef X

static const lw_kernel table[] = {
#define X(family, TIER, block_rows, sparse, kernel, stride, tile, name) \
  {LW_FAMILY_##family, LW_TIER_##TIER, block_rows, sparse, kernel, stride, tile, lw_##name, #name},
#include "kernels.def"
#undef X
};

const lw_kernel *test_kernels(uint32_t *count) {
  *count = sizeof table / sizeof table[0];
  return table;
}

// 1 if this processor can run the tier's instructions.
int test_tier_runs(lw_tier tier) {
#if !defined(__x86_64__)
  return lw_cpu_has(tier);
#else
  if (tier == LW_TIER_SCALAR) return 1;
  if (tier == LW_TIER_AVX2) return __builtin_cpu_supports("avx2") != 0;
  if (tier == LW_TIER_AVXVNNI) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("avxvnni");
  if (tier == LW_TIER_AVX512VNNI)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
  return 0;
#endif
}

void test_round(const float *input, size_t count, int32_t *output) {
  for (size_t i = 0; i < count; i++) output[i] = lw_round(input[i]);
}

#if defined(__SANITIZE_ADDRESS__)
void __asan_poison_memory_region(const volatile void *address, size_t bytes);
void __asan_unpoison_memory_region(const volatile void *address, size_t bytes);
void test_poison(const void *address, size_t bytes) { __asan_poison_memory_region(address, bytes); }
void test_unpoison(const void *address, size_t bytes) { __asan_unpoison_memory_region(address, bytes); }
#else
void test_poison(const void *address, size_t bytes) {
  (void)address;
  (void)bytes;
}
void test_unpoison(const void *address, size_t bytes) {
  (void)address;
  (void)bytes;
}
#endif
