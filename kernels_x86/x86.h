// The x86 intrinsics of all tiers, native or emulated.
//
// Kernels name their instruction set per function (LW_TARGET_...), so that one library built for plain x86-64 carries
// every tier. With LW_EMULATE_SIMD the same sources run on any machine through SIMDe: that is how tiers are tested
// that the machine at hand lacks. SIMDe uses native instructions for whatever the compiler's flags allow.
#ifndef LW_X86_H
#define LW_X86_H

#include <string.h>

#include "lw_kernel.h"

#define LW_INLINE static inline __attribute__((always_inline))

#ifdef LW_EMULATE_SIMD

#define LW_TARGET_AVX2
#define LW_TARGET_AVXVNNI
#define LW_TARGET_AVX512VNNI

// Vectors wider than the flags allow are passed in memory, within one file: no ABI to mind.
#pragma GCC diagnostic ignored "-Wpsabi"
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

// The VEX forms; SIMDe knows the EVEX forms, which compute the same.
#define _mm256_dpbusd_avx_epi32(sum, u8, s8) simde_mm256_dpbusd_epi32(sum, u8, s8)
#define _mm_dpbusd_avx_epi32(sum, u8, s8) simde_mm_dpbusd_epi32(sum, u8, s8)

// Conversions that SIMDe 0.7 lacks, by halves.
LW_INLINE simde__m512 lw_emulated_cvtepi32_ps(simde__m512i a) {
  simde__m512i_private from = simde__m512i_to_private(a);
  simde__m512_private to;
  for (int i = 0; i < 2; i++) to.m256[i] = simde_mm256_cvtepi32_ps(from.m256i[i]);
  return simde__m512_from_private(to);
}
LW_INLINE simde__m512i lw_emulated_cvtps_epi32(simde__m512 a) {
  simde__m512_private from = simde__m512_to_private(a);
  simde__m512i_private to;
  for (int i = 0; i < 2; i++) to.m256i[i] = simde_mm256_cvtps_epi32(from.m256[i]);
  return simde__m512i_from_private(to);
}
#define _mm512_cvtepi32_ps(a) lw_emulated_cvtepi32_ps(a)
#define _mm512_cvtps_epi32(a) lw_emulated_cvtps_epi32(a)

#else

#include <immintrin.h>
#define LW_TARGET_AVX2 __attribute__((target("avx2")))
#define LW_TARGET_AVXVNNI __attribute__((target("avx2,avxvnni")))
#define LW_TARGET_AVX512VNNI __attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))

#endif
// name(sum, q, w): sum + the four products of each pixel's quad with four weights. As an instruction of our own and not
// as the intrinsic: around that one gcc 12 copies and spills the sums. registers: the constraint of the vector's.
#ifdef LW_EMULATE_SIMD
#define LW_DEFINE_DOT(name, vector, intrinsic, instruction, registers) \
  LW_INLINE LW_TARGET vector name(vector sum, vector q, vector w) { return intrinsic(sum, q, w); }
#else
#define LW_DEFINE_DOT(name, vector, intrinsic, instruction, registers)                    \
  LW_INLINE LW_TARGET vector name(vector sum, vector q, vector w) {                       \
    __asm__(instruction " %2, %1, %0" : "+" registers(sum) : registers(q), registers(w)); \
    return sum;                                                                           \
  }
#endif

#endif
