// Products for AVX512-VNNI: vpdpbusd takes a whole line of sixteen pixels' quads against one output channel's four
// weights, exactly. A micro tile of 4 channels x 64 pixels keeps 16 sums in flight.
#include "x86.h"

#define LW_TARGET LW_TARGET_AVX512VNNI
#include "zmm.h"

LW_DEFINE_DOT(dot, lw_vector, _mm512_dpbusd_epi32, "vpdpbusd", "v")
LW_DEFINE_DOT(dot_column, __m128i, _mm_dpbusd_epi32, "vpdpbusd", "v")
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
