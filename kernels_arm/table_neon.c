// Look-up in a table of 128 bytes, NEON: TBL for the first 64 entries, TBX for the others.
#include "vector128.h"

typedef struct {
  uint8x16x4_t low, high;  // entries 0..63, 64..127
} v_table;

LW_INLINE v_table load_table(const uint8_t *table /* [128] */) {
  return (v_table){vld1q_u8_x4(table), vld1q_u8_x4(table + 64)};
}

// An index out of a half's range gives 0 (TBL) or keeps what is there (TBX).
LW_INLINE v_u8 look_up(const v_table *t, v_u8 index) {
  return vqtbx4q_u8(vqtbl4q_u8(t->low, index), t->high, vsubq_u8(index, vdupq_n_u8(64)));
}

#define LW_KERNEL(family) lw_##family##__neon
#include "../runtime/engine/vector128/table.h"
