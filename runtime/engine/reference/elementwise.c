// Residual add, product and table look-up: byte by byte, in any layout.
#include "lw_reference.h"

void lw_add__scalar(const void *args) {
  const lw_binary_args *a = args;
  for (size_t i = 0; i < a->count; i++) {
    const float left = (float)(a->a[i] - a->zero_point_a) * a->multiplier_a;
    const float right = (float)(a->b[i] - a->zero_point_b) * a->multiplier_b;
    const int32_t rounded = lw_round(left + right);
    a->output[i] = (uint8_t)lw_clamp(rounded + a->requant.zero_point, a->requant.clamp_min, a->requant.clamp_max);
  }
}

void lw_mul__scalar(const void *args) {
  const lw_binary_args *a = args;
  for (size_t i = 0; i < a->count; i++) {
    const int32_t right = a->b[a->b_quad ? i % LW_QUAD : i] - a->zero_point_b;
    a->output[i] = lw_requantize((a->a[i] - a->zero_point_a) * right, a->multiplier_a, &a->requant);
  }
}

// Padding pixels may hold what another tensor left there; the mask keeps the look-up inside the table.
void lw_table__scalar(const void *args) {
  const lw_table_args *a = args;
  for (size_t i = 0; i < a->count; i++) {
    const size_t row = a->per_channel ? i % LW_QUAD : 0;
    a->output[i] = a->table[row * (LW_ACTIVATION_MAX + 1) + (a->input[i] & LW_ACTIVATION_MAX)];
  }
}
