// Look-up in a table of 128 bytes, 16 bytes a step, or in four tables, one per channel of a quad. Include after
// defining the type v_table, load_table and look_up.

void LW_KERNEL(table)(const void *args);

// Padding pixels may hold what another tensor left there; the mask keeps to the table as the reference does.
LW_INLINE v_u8 load_index(const uint8_t *p) { return and_u8(load_u8(p), splat_u8(LW_ACTIVATION_MAX)); }

typedef struct {
  v_u8 bytes[LW_QUAD];  // all bits set in one channel of each pixel
} channel_masks;

LW_INLINE channel_masks each_channel(void) {
  channel_masks m;
  LW_UNROLLED
  for (uint32_t c = 0; c < LW_QUAD; c++) {
    uint8_t one[LW_QUAD] = {0};
    one[c] = 0xFF;
    m.bytes[c] = load_pixel(one);
  }
  return m;
}

LW_INLINE v_u8 look_up_channels(const uint8_t *tables /* [4][128] */, const channel_masks *m, v_u8 index) {
  v_u8 result = splat_u8(0);
  LW_UNROLLED
  for (uint32_t c = 0; c < LW_QUAD; c++) {
    const v_table t = load_table(tables + c * (LW_ACTIVATION_MAX + 1));
    result = or_u8(result, and_u8(look_up(&t, index), m->bytes[c]));
  }
  return result;
}

// A whole number of vectors.
static __attribute__((noinline)) void look_up_all(const lw_table_args *args) {
  const lw_table_args a = *args;
  const v_table t = load_table(a.table);
  const channel_masks m = each_channel();
  if (a.per_channel)
    for (size_t i = 0; i < a.count; i += LW_VECTOR_BYTES)
      store_u8(a.output + i, look_up_channels(a.table, &m, load_index(a.input + i)));
  else
    for (size_t i = 0; i < a.count; i += LW_VECTOR_BYTES) store_u8(a.output + i, look_up(&t, load_index(a.input + i)));
}

void LW_KERNEL(table)(const void *args) {
  lw_table_args a = *(const lw_table_args *)args;
  const size_t rest = a.count % LW_VECTOR_BYTES, whole = a.count - rest;
  uint8_t last[LW_VECTOR_BYTES] = {0}, *to = a.output + whole;
  __builtin_memcpy(last, a.input + whole, rest);
  a.count = whole;
  look_up_all(&a);
  if (rest == 0) return;
  a.input = a.output = last;
  a.count = LW_VECTOR_BYTES;
  look_up_all(&a);
  __builtin_memcpy(to, last, rest);
}
