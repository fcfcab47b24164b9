// Products for AVX512-VNNI: vpdpbusd takes a whole line of sixteen pixels' quads against one output channel's four
// weights, exactly. A micro tile of 4 channels x 64 pixels keeps 16 sums in flight.
#include "x86.h"

#define LW_TARGET LW_TARGET_AVX512VNNI
#include "zmm.h"

LW_INLINE LW_TARGET lw_vector dot(lw_vector sum, lw_vector q, lw_vector w) { return _mm512_dpbusd_epi32(sum, q, w); }
LW_INLINE LW_TARGET lw_vector dot_pair(lw_vector sum, lw_vector q0, lw_vector w0, lw_vector q1, lw_vector w1) {
  return dot(dot(sum, q0, w0), q1, w1);
}

#define LW_PAIR_ALWAYS_SAFE 1
#include "gemm_template.h"

LW_TARGET void lw_gemm_sparse_1x4__avx512vnni(const void *args) { gemm(args, 1, 4, 1); }
LW_TARGET void lw_gemm_sparse_2x4__avx512vnni(const void *args) { gemm(args, 2, 4, 1); }
LW_TARGET void lw_gemm_sparse_4x4__avx512vnni(const void *args) { gemm(args, 4, 4, 1); }
LW_TARGET void lw_gemm_sparse_8x4__avx512vnni(const void *args) { gemm(args, 8, 4, 1); }
LW_TARGET void lw_gemm_dense_1x4__avx512vnni(const void *args) { gemm(args, 1, 4, 0); }
LW_TARGET void lw_gemm_dense_2x4__avx512vnni(const void *args) { gemm(args, 2, 4, 0); }
LW_TARGET void lw_gemm_dense_4x4__avx512vnni(const void *args) { gemm(args, 4, 4, 0); }
LW_TARGET void lw_gemm_dense_8x4__avx512vnni(const void *args) { gemm(args, 8, 4, 0); }
