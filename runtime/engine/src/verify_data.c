// Operators' data: where it lies, how long it is, and the small tables. Weights stand in verify_weights.c.
#include "checked.h"
#include "lw_internal.h"

static lw_status check_range(const lw_file *file, uint32_t i, uint64_t *cursor, lw_error *error) {
  const lw_op_record *op = &file->ops[i];
  if (op->data_offset != *cursor) return lw_fail(error, LW_E_DATA_RANGE, "op", i, op->data_offset, *cursor);
  const uint64_t left = file->data_bytes - *cursor;
  if (op->data_bytes > left) return lw_fail(error, LW_E_DATA_RANGE, "op", i, op->data_bytes, left);
  if (op->kind == LW_OP_CONV && lw_conv_mask_end(file, op) > op->data_bytes)
    return lw_fail(error, LW_E_DATA_BYTES, "op", i, op->data_bytes, lw_conv_mask_end(file, op));
  const uint64_t wanted = lw_op_data_bytes(file, op);
  if (op->data_bytes != wanted) return lw_fail(error, LW_E_DATA_BYTES, "op", i, op->data_bytes, wanted);
  *cursor += op->data_bytes;
  return LW_OK;
}

lw_status lw_verify_data_ranges(const lw_file *file, lw_error *error) {
  uint64_t cursor = 0;
  for (uint32_t i = 0; i < file->op_count; i++) LW_TRY(check_range(file, i, &cursor, error));
  if (cursor != file->data_bytes) return lw_fail(error, LW_E_DATA_RANGE, "section", 5, file->data_bytes, cursor);
  return LW_OK;
}

static lw_status check_table(const lw_file *file, uint32_t i, lw_error *error) {
  const lw_op_record *op = &file->ops[i];
  const uint8_t *table = file->data + op->data_offset;
  const uint64_t entries = (uint64_t)op->attributes[LW_TABLE_CHANNELS] * 128;
  uint8_t any = 0;
  for (uint64_t k = 0; k < entries; k++) any |= table[k];
  if (any > LW_ACTIVATION_MAX) return lw_fail(error, LW_E_TABLE_RANGE, "op", i, any, LW_ACTIVATION_MAX);
  return LW_OK;  // 128 entries are whole lines: no padding follows
}

static lw_status check_pool(const lw_file *file, uint32_t i, lw_error *error) {
  const lw_op_record *op = &file->ops[i];
  const lw_window w = lw_window_of(op);
  const uint64_t taps = (uint64_t)w.kernel_h * w.kernel_w;
  const int padded = (w.pad_top | w.pad_left | w.pad_bottom | w.pad_right) != 0;
  const uint64_t count = padded && op->attributes[LW_AVG_POOL_INCLUDE_PAD] == 0 ? taps : 1;
  const uint8_t *data = file->data + op->data_offset;
  const float most = (float)(taps * LW_ACTIVATION_MAX);
  for (uint64_t k = 0; k < count; k++) {
    float multiplier;
    __builtin_memcpy(&multiplier, data + k * 4, sizeof multiplier);
    const int fits = lw_is_normal(multiplier) && most * multiplier < 2147483648.0f;
    if (!fits) return lw_fail(error, LW_E_MULTIPLIER, "op", i, k, count);
  }
  if (!lw_all_zero(data + count * 4, op->data_bytes - count * 4)) return lw_fail(error, LW_E_PADDING, "op", i, 1, 0);
  return LW_OK;
}

static lw_status check_resize_part(uint32_t i, const uint8_t **at, uint64_t count, uint32_t most, lw_error *error) {
  const uint64_t bytes = lw_sat_align(count * 2, LW_ALIGNMENT);
  for (uint64_t k = 0; k < count; k++) {
    uint16_t value;
    __builtin_memcpy(&value, *at + k * 2, sizeof value);
    if (value > most) return lw_fail(error, LW_E_RESIZE_RANGE, "op", i, value, most);
  }
  if (!lw_all_zero(*at + count * 2, bytes - count * 2)) return lw_fail(error, LW_E_PADDING, "op", i, 1, 0);
  *at += bytes;
  return LW_OK;
}

static lw_status check_resize(const lw_file *file, uint32_t i, lw_error *error) {
  const lw_op_record *op = &file->ops[i];
  const uint32_t *in = file->tensors[op->inputs[0]].dims, *out = file->tensors[op->output].dims;
  const uint8_t *at = file->data + op->data_offset;
  for (uint32_t axis = 2; axis < 4; axis++) {
    LW_TRY(check_resize_part(i, &at, out[axis], in[axis] - 1, error));
    if (op->attributes[LW_RESIZE_MODE] != LW_RESIZE_BILINEAR) continue;
    LW_TRY(check_resize_part(i, &at, out[axis], in[axis] - 1, error));
    LW_TRY(check_resize_part(i, &at, out[axis], 256, error));
  }
  return LW_OK;
}

lw_status lw_verify_data(const lw_file *file, lw_error *error) {
  for (uint32_t i = 0; i < file->op_count; i++) {
    switch (file->ops[i].kind) {
      case LW_OP_CONV:
        LW_TRY(lw_verify_conv_data(file, i, error));
        break;
      case LW_OP_DEPTHWISE:
        LW_TRY(lw_verify_depthwise_data(file, i, error));
        break;
      case LW_OP_AVG_POOL:
        LW_TRY(check_pool(file, i, error));
        break;
      case LW_OP_RESIZE:
        LW_TRY(check_resize(file, i, error));
        break;
      case LW_OP_TABLE:
        LW_TRY(check_table(file, i, error));
        break;
      default:
        break;
    }
  }
  return LW_OK;
}
