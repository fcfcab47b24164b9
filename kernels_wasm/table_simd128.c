// Look-up in a table of 128 bytes, simd128: eight 16-byte swizzles, each of which gives 0 for an index that is not its.
#include "vector128.h"

enum { SLICE = 16, SLICES = 8 };

typedef struct {
  v_u8 slice[SLICES];
} v_table;

LW_INLINE v_table load_table(const uint8_t *table /* [128] */) {
  v_table t;
  LW_UNROLLED
  for (int i = 0; i < SLICES; i++) t.slice[i] = load_u8(table + SLICE * i);
  return t;
}

LW_INLINE v_u8 look_up(const v_table *t, v_u8 index) {
  v_u8 found = wasm_i8x16_swizzle(t->slice[0], index);
  LW_UNROLLED
  for (int i = 1; i < SLICES; i++)
    found = or_u8(found, wasm_i8x16_swizzle(t->slice[i], wasm_i8x16_sub(index, splat_u8(SLICE * i))));
  return found;
}

#define LW_KERNEL(family) lw_##family##__simd128
#include "../runtime/engine/vector128/table.h"
