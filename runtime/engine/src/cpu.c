// What this machine's processor and operating system can run.
#include "lw_internal.h"

#if defined(__x86_64__) && !defined(LW_SCALAR_ONLY)
#include <cpuid.h>
#include <stdatomic.h>

typedef struct {
  unsigned a, b, c, d;
} cpuid_result;

static cpuid_result cpuid(unsigned leaf, unsigned subleaf) {
  cpuid_result r = {0, 0, 0, 0};
  if (!__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d)) return (cpuid_result){0, 0, 0, 0};
  return r;
}

// Register state that the operating system saves; bits of XCR0.
static unsigned saved_state(void) {
  if ((cpuid(1, 0).c >> 27 & 1) == 0) return 0;  // OSXSAVE
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

enum { ASKED = 1, AVX2 = 2, AVXVNNI = 4, AVX512VNNI = 8 };

static unsigned ask(void) {
  const unsigned leaf1 = (1u << 12) | (1u << 20) | (1u << 28) | (1u << 29);  // FMA, SSE4.2, AVX, F16C
  const unsigned ymm = 0x6, zmm = 0xE6, bmi = (1u << 3) | (1u << 8);
  const unsigned avx512 = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);  // F, DQ, BW, VL
  const unsigned state = saved_state();
  const cpuid_result seven = cpuid(7, 0);
  unsigned found = ASKED;
  if ((state & ymm) != ymm || (cpuid(1, 0).c & leaf1) != leaf1) return found;
  if ((seven.b >> 5 & 1) == 0 || (seven.b & bmi) != bmi) return found;
  found |= AVX2;
  if (seven.a >= 1 && (cpuid(7, 1).a >> 4 & 1) != 0) found |= AVXVNNI;
  if ((state & zmm) == zmm && (seven.b & avx512) == avx512 && (seven.c >> 11 & 1) != 0) found |= AVX512VNNI;
  return found;
}

// Asked once: in a virtual machine each cpuid is a call of its host, tens of microseconds, and every choice of a kernel
// wants to know.
int lw_cpu_has(lw_tier tier) {
  static atomic_uint known;
  unsigned found = atomic_load_explicit(&known, memory_order_relaxed);
  if (found == 0) {
    found = ask();
    atomic_store_explicit(&known, found, memory_order_relaxed);
  }
  switch (tier) {
    case LW_TIER_SCALAR:
      return 1;
    case LW_TIER_AVX2:
      return (found & AVX2) != 0;
    case LW_TIER_AVXVNNI:
      return (found & AVXVNNI) != 0;
    case LW_TIER_AVX512VNNI:
      return (found & AVX512VNNI) != 0;
    default:
      return 0;
  }
}

#elif defined(__aarch64__) && !defined(LW_SCALAR_ONLY)

// The operating system knows; both ways are part of every C library of theirs. Declared here, because the engine is
// built without a C library's headers.
#if defined(__linux__)  // and Android
extern unsigned long getauxval(unsigned long type);

static int system_has_dotprod(void) { return (getauxval(16 /* AT_HWCAP */) >> 20 & 1) != 0; }  // ASIMDDP
static int system_has_i8mm(void) { return (getauxval(26 /* AT_HWCAP2 */) >> 13 & 1) != 0; }    // I8MM
#elif defined(__APPLE__)
extern int sysctlbyname(const char *name, void *value, size_t *bytes, void *new_value, size_t new_bytes);

static int system_says(const char *name) {
  int value = 0;
  size_t bytes = sizeof value;
  return sysctlbyname(name, &value, &bytes, NULL, 0) == 0 && value != 0;
}
static int system_has_dotprod(void) { return system_says("hw.optional.arm.FEAT_DotProd"); }
static int system_has_i8mm(void) { return system_says("hw.optional.arm.FEAT_I8MM"); }
#else  // nobody to ask: what the compiler was told
#if defined(__ARM_FEATURE_DOTPROD)
static int system_has_dotprod(void) { return 1; }
#else
static int system_has_dotprod(void) { return 0; }
#endif
#if defined(__ARM_FEATURE_MATMUL_INT8)
static int system_has_i8mm(void) { return 1; }
#else
static int system_has_i8mm(void) { return 0; }
#endif
#endif

int lw_cpu_has(lw_tier tier) {
  switch (tier) {
    case LW_TIER_SCALAR:
    case LW_TIER_NEON:  // part of the architecture
      return 1;
    case LW_TIER_DOTPROD:
      return system_has_dotprod();
    case LW_TIER_I8MM:  // its kernels use dot products as well
      return system_has_dotprod() && system_has_i8mm();
    default:
      return 0;
  }
}

#else

#if defined(__wasm_relaxed_simd__) && !defined(LW_SCALAR_ONLY)
#include <wasm_simd128.h>

static int32_t relaxed_dot(const volatile int8_t *a, const volatile int8_t *b) {
  const v128_t none = wasm_i32x4_const_splat(0);
  return wasm_i32x4_extract_lane(
      wasm_i32x4_relaxed_dot_i8x16_i7x16_add(wasm_i8x16_splat(*a), wasm_i8x16_splat(*b), none), 0);
}

// Operands outside of what our kernels use tell the instruction: sums of two products that int16 cannot hold come out
// whole only where it is not in between. vpdpbusd takes the second operand as unsigned, sdot as signed.
static int dot_is_one_instruction(void) {
  static const volatile int8_t most = 127, least = -128, ones = -1;
  return relaxed_dot(&most, &ones) == 4 * 127 * 255 || relaxed_dot(&least, &least) == 4 * 128 * 128;
}
#endif

// WebAssembly is validated as a whole: a module that loads has what it was built with.
int lw_cpu_has(lw_tier tier) {
  switch (tier) {
    case LW_TIER_SCALAR:
      return 1;
#if defined(__wasm_simd128__) && !defined(LW_SCALAR_ONLY)
    case LW_TIER_SIMD128:
      return 1;
#endif
#if defined(__wasm_relaxed_simd__) && !defined(LW_SCALAR_ONLY)
    case LW_TIER_RELAXED:
      return 1;
    case LW_TIER_RELAXED_DOT:
      return dot_is_one_instruction();
#endif
    default:
      return 0;
  }
}

#endif
