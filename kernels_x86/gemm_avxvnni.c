// Products for AVX-VNNI: vpdpbusd takes eight pixels' quads against one output channel's four weights, exactly. A micro
// tile of 4 channels x 24 pixels keeps 12 sums in flight: two instructions per cycle of latency five want ten.
#include "x86.h"

#define LW_TARGET LW_TARGET_AVXVNNI
#include "ymm.h"

LW_DEFINE_DOT(dot, lw_vector, _mm256_dpbusd_avx_epi32, "%{vex%} vpdpbusd", "x")
#define LW_EXACT_DOT
#include "gemm_template.h"

LW_TARGET void lw_gemm_sparse_1x4__avxvnni(const void *args) { gemm(args, 1, 8, 1); }
LW_TARGET void lw_gemm_sparse_2x4__avxvnni(const void *args) { gemm(args, 2, 4, 1); }
LW_TARGET void lw_gemm_sparse_4x4__avxvnni(const void *args) { gemm(args, 4, 3, 1); }
LW_TARGET void lw_gemm_sparse_8x4__avxvnni(const void *args) { gemm(args, 8, 3, 1); }
LW_TARGET void lw_gemm_dense_1x4__avxvnni(const void *args) { gemm(args, 1, 8, 0); }
LW_TARGET void lw_gemm_dense_2x4__avxvnni(const void *args) { gemm(args, 2, 4, 0); }
LW_TARGET void lw_gemm_dense_4x4__avxvnni(const void *args) { gemm(args, 4, 3, 0); }
LW_TARGET void lw_gemm_dense_8x4__avxvnni(const void *args) { gemm(args, 8, 3, 0); }
