// One pixel for every 64-bit ARM: SMULL and SMULL2 into int16, pairs added there (2 * 127 * 127 < 2^15) and then to the
// sums.
#define LW_TARGET
#include "gemm_blocks.h"

LW_TEMPLATE int32x4_t dot(int32x4_t sum, int8x16_t quads, int8x16_t weights) {
  const int16x8_t low = vmull_s8(vget_low_s8(quads), vget_low_s8(weights)), high = vmull_high_s8(quads, weights);
  return vpadalq_s16(sum, vpaddq_s16(low, high));
}

#include "gemv_template.h"

LW_TARGET void lw_gemv_sparse_1x4__neon(const void *args) { gemv(args, 1, 1); }
LW_TARGET void lw_gemv_sparse_2x4__neon(const void *args) { gemv(args, 2, 1); }
LW_TARGET void lw_gemv_sparse_4x4__neon(const void *args) { gemv(args, 4, 1); }
LW_TARGET void lw_gemv_sparse_8x4__neon(const void *args) { gemv(args, 8, 1); }
LW_TARGET void lw_gemv_dense_1x4__neon(const void *args) { gemv(args, 1, 0); }
LW_TARGET void lw_gemv_dense_2x4__neon(const void *args) { gemv(args, 2, 0); }
LW_TARGET void lw_gemv_dense_4x4__neon(const void *args) { gemv(args, 4, 0); }
LW_TARGET void lw_gemv_dense_8x4__neon(const void *args) { gemv(args, 8, 0); }
