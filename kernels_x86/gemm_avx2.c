// Products for AVX2: vpmaddubsw adds two products in int16, vpmaddwd with ones widens. Floor: 32 multiply-accumulates
// take three such instructions; two blocks that add up in int16 share the widening, 64 take three (docs/kernels.md).
#include "x86.h"

#define LW_TARGET LW_TARGET_AVX2
#include "ymm.h"

static const int16_t ones[16] __attribute__((aligned(32))) = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

// int16 pairs -> int32. The ones are read from memory each time: in a register they would be one register too many
// for the loop over pairs of blocks, and compilers spill a sum rather than them.
LW_INLINE LW_TARGET lw_vector widen(lw_vector products) {
#ifdef LW_EMULATE_SIMD
  return _mm256_madd_epi16(products, vector_load((const uint8_t *)ones));
#else
  lw_vector sums;
  __asm__("vpmaddwd %2, %1, %0" : "=x"(sums) : "x"(products), "m"(ones));
  return sums;
#endif
}

LW_INLINE LW_TARGET lw_vector dot(lw_vector sum, lw_vector q, lw_vector w) {
  return _mm256_add_epi32(sum, widen(_mm256_maddubs_epi16(q, w)));
}
LW_INLINE LW_TARGET lw_vector dot_pair(lw_vector sum, lw_vector q0, lw_vector w0, lw_vector q1, lw_vector w1) {
  return _mm256_add_epi32(sum, widen(_mm256_add_epi16(_mm256_maddubs_epi16(q0, w0), _mm256_maddubs_epi16(q1, w1))));
}

#include "gemm_template.h"

LW_TARGET void lw_gemm_sparse_1x4__avx2(const void *args) { gemm(args, 1, 4, 1); }
LW_TARGET void lw_gemm_sparse_2x4__avx2(const void *args) { gemm(args, 2, 4, 1); }
LW_TARGET void lw_gemm_sparse_4x4__avx2(const void *args) { gemm(args, 4, 2, 1); }
LW_TARGET void lw_gemm_sparse_8x4__avx2(const void *args) { gemm(args, 8, 2, 1); }
LW_TARGET void lw_gemm_dense_1x4__avx2(const void *args) { gemm(args, 1, 4, 0); }
LW_TARGET void lw_gemm_dense_2x4__avx2(const void *args) { gemm(args, 2, 4, 0); }
LW_TARGET void lw_gemm_dense_4x4__avx2(const void *args) { gemm(args, 4, 2, 0); }
LW_TARGET void lw_gemm_dense_8x4__avx2(const void *args) { gemm(args, 8, 2, 0); }
