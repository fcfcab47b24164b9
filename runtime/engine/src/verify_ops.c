// Each operator against its tensors: types, attributes, shape, quantization, multipliers, cost.
#include "checked.h"
#include "lw_internal.h"

typedef struct {
  const lw_file *file;
  const lw_op_record *op;
  const lw_tensor_record *in, *out;  // first input, output
  uint32_t index;
  lw_error *error;
} op_check;

static lw_status fail(const op_check *c, lw_status status, uint64_t found, uint64_t wanted) {
  return lw_fail(c->error, status, "op", c->index, found, wanted);
}

static const lw_tensor_record *input_of(const op_check *c, uint32_t k) { return &c->file->tensors[c->op->inputs[k]]; }
static int is_quads(const lw_tensor_record *t) { return t->layout == LW_LAYOUT_QUADS; }
static int is_float(const lw_tensor_record *t) { return t->dtype == LW_DTYPE_F32; }
static int same_dims(const lw_tensor_record *a, const lw_tensor_record *b) {
  return a->rank == b->rank && lw_same_bytes(a->dims, b->dims, sizeof a->dims);
}

static int types_fit(const op_check *c) {
  const lw_tensor_record *in = c->in, *out = c->out;
  switch (c->op->kind) {
    case LW_OP_QUANTIZE:
      return is_float(in) && !is_float(out);
    case LW_OP_DEQUANTIZE:
      return !is_float(in) && is_float(out);
    case LW_OP_CONV:
    case LW_OP_AVG_POOL:
      return is_quads(in) && (is_quads(out) || is_float(out));
    case LW_OP_SOFTMAX:
      return is_float(in) && is_float(out);
    case LW_OP_DEPTHWISE:
    case LW_OP_MAX_POOL:
    case LW_OP_PAD:
    case LW_OP_RESIZE:
      return is_quads(in) && is_quads(out);
    case LW_OP_LAYOUT:
      return is_quads(in) != is_quads(out) && !is_float(in) && !is_float(out);
    case LW_OP_RESHAPE:
    case LW_OP_TRANSPOSE:
      return !is_quads(in) && !is_quads(out) && in->dtype == out->dtype;
    case LW_OP_ADD:
    case LW_OP_MUL:
    case LW_OP_TABLE:
    case LW_OP_CONCAT:
      for (uint32_t k = 0; k < c->op->input_count; k++)
        if (input_of(c, k)->layout != out->layout || input_of(c, k)->dtype != out->dtype) return 0;
      return c->op->kind == LW_OP_CONCAT || !is_float(out);
    default:
      return 0;
  }
}

static lw_status check_window(const op_check *c, const lw_window *w) {
  const int conv = c->op->kind == LW_OP_CONV || c->op->kind == LW_OP_DEPTHWISE;
  const uint32_t most = conv ? LW_MAX_KERNEL : LW_MAX_DIM;
  const uint32_t sizes[6] = {w->kernel_h, w->kernel_w, w->stride_h, w->stride_w, w->dilation_h, w->dilation_w};
  for (uint32_t i = 0; i < 6; i++)
    if (sizes[i] < 1 || sizes[i] > most) return fail(c, LW_E_OP_ATTRIBUTE, sizes[i], most);
  // A pool's window always meets the image, so that no window is empty.
  const uint32_t most_pads[4] = {conv ? most : w->kernel_h - 1, conv ? most : w->kernel_w - 1,
                                 conv ? most : w->kernel_h - 1, conv ? most : w->kernel_w - 1};
  const uint32_t pads[4] = {w->pad_top, w->pad_left, w->pad_bottom, w->pad_right};
  for (uint32_t i = 0; i < 4; i++)
    if (pads[i] > most_pads[i]) return fail(c, LW_E_OP_ATTRIBUTE, pads[i], most_pads[i]);
  const uint64_t taps = (uint64_t)w->kernel_h * w->kernel_w;
  return taps <= LW_MAX_POOL_TAPS ? LW_OK : fail(c, LW_E_OP_ATTRIBUTE, taps, LW_MAX_POOL_TAPS);
}

static lw_status check_transpose(const op_check *c) {
  uint32_t seen = 0;
  for (uint32_t i = 0; i < LW_MAX_RANK; i++) {
    const uint32_t axis = c->op->attributes[i];
    if (i >= c->in->rank && axis != 0) return fail(c, LW_E_RESERVED, axis, 0);
    if (i >= c->in->rank) continue;
    if (axis >= c->in->rank || (seen >> axis & 1) != 0) return fail(c, LW_E_OP_ATTRIBUTE, axis, c->in->rank);
    seen |= 1u << axis;
  }
  return LW_OK;
}

static lw_status check_at_most(const op_check *c, uint32_t slot, uint32_t most) {
  const uint32_t value = c->op->attributes[slot];
  return value <= most ? LW_OK : fail(c, LW_E_OP_ATTRIBUTE, value, most);
}

static lw_status check_conv_attributes(const op_check *c) {
  const uint32_t rows = c->op->attributes[LW_CONV_BLOCK_ROWS];
  if (rows != 1 && rows != 2 && rows != 4 && rows != 8) return fail(c, LW_E_OP_ATTRIBUTE, rows, 8);
  LW_TRY(check_at_most(c, LW_CONV_ENCODING, LW_ENCODING_BITMASK));
  const lw_window w = lw_window_of(c->op);
  LW_TRY(check_window(c, &w));
  const uint64_t k4 = (uint64_t)w.kernel_h * w.kernel_w * lw_ceil_div(c->in->dims[1], LW_QUAD);
  return k4 <= LW_MAX_K4 ? LW_OK : fail(c, LW_E_OP_ATTRIBUTE, k4, LW_MAX_K4);
}

static lw_status check_attributes(const op_check *c) {
  const lw_window w = lw_window_of(c->op);
  switch (c->op->kind) {
    case LW_OP_CONV:
      return check_conv_attributes(c);
    case LW_OP_DEPTHWISE:
    case LW_OP_MAX_POOL:
      return check_window(c, &w);
    case LW_OP_AVG_POOL:
      LW_TRY(check_at_most(c, LW_AVG_POOL_INCLUDE_PAD, 1));
      return check_window(c, &w);
    case LW_OP_CONCAT:
      if (is_quads(c->out) && c->op->attributes[LW_CONCAT_AXIS] != 1)
        return fail(c, LW_E_OP_ATTRIBUTE, c->op->attributes[LW_CONCAT_AXIS], 1);
      return check_at_most(c, LW_CONCAT_AXIS, c->out->rank - 1u);
    case LW_OP_PAD:
      for (uint32_t slot = 0; slot < 4; slot++) LW_TRY(check_at_most(c, slot, LW_MAX_DIM));
      return LW_OK;
    case LW_OP_RESIZE:
      return check_at_most(c, LW_RESIZE_MODE, LW_RESIZE_BILINEAR);
    case LW_OP_TABLE: {
      const uint32_t channels = c->op->attributes[LW_TABLE_CHANNELS];
      if (channels == 1 || (is_quads(c->in) && channels == c->in->dims[1])) return LW_OK;
      return fail(c, LW_E_OP_ATTRIBUTE, channels, 1);
    }
    case LW_OP_TRANSPOSE:
      return check_transpose(c);
    default:
      return LW_OK;
  }
}

static lw_status check_dims(const op_check *c, const uint64_t dims[4], uint32_t rank) {
  if (c->out->rank != rank) return fail(c, LW_E_OP_SHAPE, c->out->rank, rank);
  for (uint32_t i = 0; i < rank; i++)
    if (c->out->dims[i] != dims[i]) return fail(c, LW_E_OP_SHAPE, c->out->dims[i], dims[i]);
  return LW_OK;
}

static lw_status check_window_shape(const op_check *c, uint64_t channels) {
  const lw_window w = lw_window_of(c->op);
  const uint64_t pads_h = (uint64_t)w.pad_top + w.pad_bottom, pads_w = (uint64_t)w.pad_left + w.pad_right;
  const uint64_t h = lw_window_output(c->in->dims[2], w.kernel_h, w.stride_h, w.dilation_h, pads_h);
  const uint64_t v = lw_window_output(c->in->dims[3], w.kernel_w, w.stride_w, w.dilation_w, pads_w);
  if (h == 0 || v == 0) return fail(c, LW_E_OP_SHAPE, c->in->dims[h == 0 ? 2 : 3], h == 0 ? w.kernel_h : w.kernel_w);
  const uint64_t dims[4] = {1, channels, h, v};
  return check_dims(c, dims, h * v == 1 && is_float(c->out) && c->out->rank == 2 ? 2 : 4);
}

static lw_status check_concat_shape(const op_check *c) {
  const uint32_t axis = c->op->attributes[LW_CONCAT_AXIS];
  uint64_t dims[4] = {c->in->dims[0], c->in->dims[1], c->in->dims[2], c->in->dims[3]};
  for (uint32_t k = 1; k < c->op->input_count; k++) {
    const lw_tensor_record *t = input_of(c, k);
    if (t->rank != c->in->rank) return fail(c, LW_E_OP_SHAPE, t->rank, c->in->rank);
    for (uint32_t i = 0; i < t->rank; i++)
      if (i != axis && t->dims[i] != dims[i]) return fail(c, LW_E_OP_SHAPE, t->dims[i], dims[i]);
    dims[axis] += t->dims[axis];
  }
  return check_dims(c, dims, c->in->rank);
}

static lw_status check_mul_shape(const op_check *c) {
  const lw_tensor_record *b = input_of(c, 1);
  const int broadcast = is_quads(b) && b->dims[1] == c->in->dims[1] && b->dims[2] == 1 && b->dims[3] == 1;
  if (!broadcast && !same_dims(c->in, b)) return fail(c, LW_E_OP_SHAPE, b->rank, c->in->rank);
  return same_dims(c->in, c->out) ? LW_OK : fail(c, LW_E_OP_SHAPE, c->out->rank, c->in->rank);
}

static lw_status check_shape(const op_check *c) {
  const uint32_t *a = c->op->attributes;
  const uint32_t *in = c->in->dims;
  switch (c->op->kind) {
    case LW_OP_CONV:
      if (c->out->rank < 2) return fail(c, LW_E_OP_SHAPE, c->out->rank, 4);
      return check_window_shape(c, c->out->dims[1]);
    case LW_OP_DEPTHWISE:
    case LW_OP_AVG_POOL:
    case LW_OP_MAX_POOL:
      return check_window_shape(c, in[1]);
    case LW_OP_CONCAT:
      return check_concat_shape(c);
    case LW_OP_MUL:
      return check_mul_shape(c);
    case LW_OP_PAD: {
      const uint64_t dims[4] = {1, in[1], (uint64_t)in[2] + a[LW_PAD_PAD_TOP] + a[LW_PAD_PAD_BOTTOM],
                                (uint64_t)in[3] + a[LW_PAD_PAD_LEFT] + a[LW_PAD_PAD_RIGHT]};
      return check_dims(c, dims, 4);
    }
    case LW_OP_RESIZE: {
      const uint64_t dims[4] = {1, in[1], c->out->dims[2], c->out->dims[3]};
      return check_dims(c, dims, 4);
    }
    case LW_OP_RESHAPE: {
      const uint64_t found = lw_tensor_elements(c->out), wanted = lw_tensor_elements(c->in);
      return found == wanted ? LW_OK : fail(c, LW_E_OP_SHAPE, found, wanted);
    }
    case LW_OP_TRANSPOSE: {
      uint64_t dims[4] = {0, 0, 0, 0};
      for (uint32_t i = 0; i < c->in->rank; i++) dims[i] = in[a[i]];
      return check_dims(c, dims, c->in->rank);
    }
    default:
      for (uint32_t k = 0; k < c->op->input_count; k++)
        if (!same_dims(input_of(c, k), c->out)) return fail(c, LW_E_OP_SHAPE, c->out->rank, input_of(c, k)->rank);
      return LW_OK;
  }
}

static int only_moves(uint32_t kind) {
  return kind == LW_OP_MAX_POOL || kind == LW_OP_CONCAT || kind == LW_OP_PAD || kind == LW_OP_RESIZE ||
         kind == LW_OP_LAYOUT || kind == LW_OP_RESHAPE || kind == LW_OP_TRANSPOSE;
}

static lw_status check_quantization(const op_check *c) {
  if (!only_moves(c->op->kind)) return LW_OK;
  for (uint32_t k = 0; k < c->op->input_count; k++) {
    const lw_tensor_record *t = input_of(c, k);
    if (!lw_same_bytes(&t->scale, &c->out->scale, sizeof t->scale) || t->zero_point != c->out->zero_point)
      return fail(c, LW_E_OP_QUANTIZATION, t->zero_point, c->out->zero_point);
  }
  return LW_OK;
}

// The product is formed as the kernels form it: rounding is monotonic, so the largest operand bounds all others.
static int multiplier_fits(float multiplier, float most) {
  return lw_is_normal(multiplier) && most * multiplier < 2147483648.0f;
}

static lw_status check_multipliers(const op_check *c) {
  const float first = lw_attribute_f32(c->op, 0), second = lw_attribute_f32(c->op, 1);
  int fits = 1;
  if (c->op->kind == LW_OP_QUANTIZE) fits = multiplier_fits(first, 0.0f);
  if (c->op->kind == LW_OP_MUL) fits = multiplier_fits(first, 127.0f * 127.0f);
  if (c->op->kind == LW_OP_ADD) {
    fits = multiplier_fits(first, 127.0f) && multiplier_fits(second, 127.0f);
    if (fits) fits = 127.0f * first + 127.0f * second < 2147483648.0f;
  }
  return fits ? LW_OK : fail(c, LW_E_MULTIPLIER, c->op->attributes[0], c->op->attributes[1]);
}

static lw_status check_clamp(const op_check *c) {
  uint32_t slot = 0;
  switch (c->op->kind) {
    case LW_OP_CONV:
      slot = LW_CONV_CLAMP_MIN;
      break;
    case LW_OP_DEPTHWISE:
      slot = LW_DEPTHWISE_CLAMP_MIN;
      break;
    case LW_OP_ADD:
      slot = LW_ADD_CLAMP_MIN;
      break;
    case LW_OP_MUL:
      slot = LW_MUL_CLAMP_MIN;
      break;
    case LW_OP_AVG_POOL:
      slot = LW_AVG_POOL_CLAMP_MIN;
      break;
    default:
      return LW_OK;
  }
  const uint32_t low = c->op->attributes[slot], high = c->op->attributes[slot + 1];
  return low <= high && high <= LW_ACTIVATION_MAX ? LW_OK : fail(c, LW_E_CLAMP, low, high);
}

static uint64_t op_cost(const op_check *c) {
  uint64_t cost = lw_sat_add(lw_op_macs(c->file, c->op), lw_tensor_memory(c->out));
  for (uint32_t k = 0; k < c->op->input_count; k++) cost = lw_sat_add(cost, lw_tensor_memory(input_of(c, k)));
  return cost;
}

lw_status lw_verify_ops(const lw_file *file, lw_error *error) {
  uint64_t cost = 0;
  for (uint32_t i = 0; i < file->op_count; i++) {
    const lw_op_record *op = &file->ops[i];
    const op_check c = {file, op, &file->tensors[op->inputs[0]], &file->tensors[op->output], i, error};
    if (!types_fit(&c)) return fail(&c, LW_E_OP_DTYPE, c.in->dtype, c.out->dtype);
    LW_TRY(check_attributes(&c));
    LW_TRY(check_shape(&c));
    LW_TRY(check_quantization(&c));
    LW_TRY(check_multipliers(&c));
    LW_TRY(check_clamp(&c));
    cost = lw_sat_add(cost, op_cost(&c));
    if (cost > LW_MAX_COST) return fail(&c, LW_E_COST, cost, LW_MAX_COST);
  }
  return LW_OK;
}
