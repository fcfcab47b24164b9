// One pixel for ARMv8.2 dotprod: SDOT adds the four products of each lane.
#define LW_TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#include "gemm_blocks.h"

LW_TEMPLATE int32x4_t dot(int32x4_t sum, int8x16_t quads, int8x16_t weights) { return vdotq_s32(sum, quads, weights); }

#include "gemv_template.h"

LW_TARGET void lw_gemv_sparse_1x4__dotprod(const void *args) { gemv(args, 1, 1); }
LW_TARGET void lw_gemv_sparse_2x4__dotprod(const void *args) { gemv(args, 2, 1); }
LW_TARGET void lw_gemv_sparse_4x4__dotprod(const void *args) { gemv(args, 4, 1); }
LW_TARGET void lw_gemv_sparse_8x4__dotprod(const void *args) { gemv(args, 8, 1); }
LW_TARGET void lw_gemv_dense_1x4__dotprod(const void *args) { gemv(args, 1, 0); }
LW_TARGET void lw_gemv_dense_2x4__dotprod(const void *args) { gemv(args, 2, 0); }
LW_TARGET void lw_gemv_dense_4x4__dotprod(const void *args) { gemv(args, 4, 0); }
LW_TARGET void lw_gemv_dense_8x4__dotprod(const void *args) { gemv(args, 8, 0); }
