// What is left to do with the sums of one output quad in a micro tile; one function for all tiles and tiers.
#ifndef LW_GEMM_FINISH_H
#define LW_GEMM_FINISH_H

#include "requantize.h"

#define PIXELS 4u      // of a register of sums
#define MAX_VECTORS 4  // registers of sums per channel

// sum: [4][vectors] registers, without the bias; of the channels that exist.
void lw_gemm_finish_u7(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const v128_t *sum, uint32_t vectors);
void lw_gemm_finish_f32(const lw_gemm_args *a, uint32_t quad, uint32_t pixel, const v128_t *sum, uint32_t vectors);

#endif
