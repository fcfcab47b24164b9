// Products for AVX512-VNNI: vpdpbusd takes a whole line of sixteen pixels' quads against one output channel's four
// weights, exactly. A micro tile of 4 channels x 64 pixels keeps 16 sums in flight.
#include "x86.h"

#define LW_TARGET LW_TARGET_AVX512VNNI
#include "zmm.h"

// As an instruction of our own and not as the intrinsic: around that one gcc 12 copies and spills the sums.
LW_INLINE LW_TARGET lw_vector dot(lw_vector sum, lw_vector q, lw_vector w) {
#ifdef LW_EMULATE_SIMD
  return _mm512_dpbusd_epi32(sum, q, w);
#else
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(q), "v"(w));
  return sum;
#endif
}

LW_INLINE LW_TARGET __m128i dot_column(__m128i sum, __m128i q, __m128i w) {
#ifdef LW_EMULATE_SIMD
  return _mm_dpbusd_epi32(sum, q, w);
#else
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(q), "v"(w));
  return sum;
#endif
}

#define LW_COLUMNS
#define LW_EXACT_DOT
#include "gemm_template.h"

LW_TARGET void lw_gemm_sparse_1x4__avx512vnni(const void *args) { gemm(args, 1, 4, 1); }
LW_TARGET void lw_gemm_sparse_2x4__avx512vnni(const void *args) { gemm(args, 2, 4, 1); }
LW_TARGET void lw_gemm_sparse_4x4__avx512vnni(const void *args) { gemm(args, 4, 4, 1); }
LW_TARGET void lw_gemm_sparse_8x4__avx512vnni(const void *args) { gemm(args, 8, 4, 1); }
LW_TARGET void lw_gemm_dense_1x4__avx512vnni(const void *args) { gemm(args, 1, 4, 0); }
LW_TARGET void lw_gemm_dense_2x4__avx512vnni(const void *args) { gemm(args, 2, 4, 0); }
LW_TARGET void lw_gemm_dense_4x4__avx512vnni(const void *args) { gemm(args, 4, 4, 0); }
LW_TARGET void lw_gemm_dense_8x4__avx512vnni(const void *args) { gemm(args, 8, 4, 0); }
