// Tensors one by one, graph lists, and the flow of tensors through the operators.
#include "checked.h"
#include "lw_internal.h"

#define SET_WORDS ((LW_MAX_TENSORS + 63) / 64)

typedef struct {
  uint64_t words[SET_WORDS];
} tensor_set;

static int set_has(const tensor_set *set, uint32_t i) { return (int)((set->words[i / 64] >> (i % 64)) & 1); }
static void set_add(tensor_set *set, uint32_t i) { set->words[i / 64] |= UINT64_C(1) << (i % 64); }

static uint32_t bits_of(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

static lw_status check_tensor(const lw_tensor_record *t, uint32_t i, lw_error *error) {
  if (t->reserved0 != 0 || !lw_all_zero(t->reserved1, sizeof t->reserved1))
    return lw_fail(error, LW_E_RESERVED, "tensor", i, 1, 0);
  if (t->dtype > LW_DTYPE_F32) return lw_fail(error, LW_E_TENSOR_DTYPE, "tensor", i, t->dtype, LW_DTYPE_F32);
  if (t->layout > LW_LAYOUT_QUADS) return lw_fail(error, LW_E_TENSOR_LAYOUT, "tensor", i, t->layout, LW_LAYOUT_QUADS);
  if (t->rank < 1 || t->rank > LW_MAX_RANK) return lw_fail(error, LW_E_TENSOR_DIMS, "tensor", i, t->rank, LW_MAX_RANK);
  for (uint32_t k = 0; k < LW_MAX_RANK; k++) {
    const int in_range = k < t->rank ? t->dims[k] >= 1 && t->dims[k] <= LW_MAX_DIM : t->dims[k] == 0;
    if (!in_range) return lw_fail(error, LW_E_TENSOR_DIMS, "tensor", i, t->dims[k], k < t->rank ? LW_MAX_DIM : 0);
  }
  if (lw_tensor_elements(t) > LW_MAX_ELEMENTS)
    return lw_fail(error, LW_E_TENSOR_DIMS, "tensor", i, lw_tensor_elements(t), LW_MAX_ELEMENTS);
  if (t->layout == LW_LAYOUT_QUADS && (t->rank != 4 || t->dims[0] != 1 || t->dtype != LW_DTYPE_U7))
    return lw_fail(error, LW_E_TENSOR_LAYOUT, "tensor", i, t->rank, 4);
  const uint32_t scale = bits_of(t->scale);
  const int scale_fits = t->dtype == LW_DTYPE_F32 ? scale == 0 : scale >= 0x00800000u && scale < 0x7F800000u;
  if (!scale_fits) return lw_fail(error, LW_E_TENSOR_SCALE, "tensor", i, scale, 0);
  const uint32_t most = t->dtype == LW_DTYPE_F32 ? 0 : LW_ACTIVATION_MAX;
  if (t->zero_point > most) return lw_fail(error, LW_E_TENSOR_ZERO_POINT, "tensor", i, t->zero_point, most);
  return LW_OK;
}

static uint32_t attribute_count(uint32_t kind) {
  switch (kind) {
#define X(NAME, number, name, attributes, least, most) \
  case number:                                         \
    return attributes;
    LW_OPERATORS(X)
#undef X
    default:
      return 0;
  }
}

static int input_count_fits(uint32_t kind, uint32_t count) {
  switch (kind) {
#define X(NAME, number, name, attributes, least, most) \
  case number:                                         \
    return count >= (least) && count <= (most);
    LW_OPERATORS(X)
#undef X
    default:
      return 0;
  }
}

static int is_known(uint32_t kind) { return kind >= LW_OP_QUANTIZE && kind <= LW_OP_TRANSPOSE; }

static lw_status check_op_record(const lw_file *file, uint32_t i, lw_error *error) {
  const lw_op_record *op = &file->ops[i];
  if (!is_known(op->kind)) return lw_fail(error, LW_E_OP_KIND, "op", i, op->kind, LW_OP_TRANSPOSE);
  if (op->reserved0 != 0) return lw_fail(error, LW_E_RESERVED, "op", i, op->reserved0, 0);
  for (uint32_t k = attribute_count(op->kind); k < LW_MAX_ATTRIBUTES; k++)
    if (op->attributes[k] != 0) return lw_fail(error, LW_E_RESERVED, "op", i, op->attributes[k], 0);
  if (!input_count_fits(op->kind, op->input_count)) return lw_fail(error, LW_E_OP_INPUTS, "op", i, op->input_count, 1);
  for (uint32_t k = 0; k < LW_MAX_INPUTS; k++) {
    const int fits = k < op->input_count ? op->inputs[k] < file->tensor_count : op->inputs[k] == LW_NO_TENSOR;
    if (!fits) return lw_fail(error, LW_E_OP_INPUTS, "op", i, op->inputs[k], file->tensor_count);
  }
  if (op->output >= file->tensor_count) return lw_fail(error, LW_E_OP_OUTPUT, "op", i, op->output, file->tensor_count);
  return LW_OK;
}

static lw_status check_graph_list(const lw_file *file, int outputs, tensor_set *seen, lw_error *error) {
  const lw_status status = outputs ? LW_E_GRAPH_OUTPUTS : LW_E_GRAPH_INPUTS;
  const uint32_t *ids = outputs ? file->graph + file->input_count : file->graph;
  const uint32_t count = outputs ? file->output_count : file->input_count;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t id = ids[i];
    if (id >= file->tensor_count) return lw_fail(error, status, "graph", i, id, file->tensor_count);
    if (set_has(seen, id)) return lw_fail(error, status, "graph", i, id, id);
    if (file->tensors[id].layout != LW_LAYOUT_PLAIN)
      return lw_fail(error, status, "graph", i, file->tensors[id].layout, LW_LAYOUT_PLAIN);
    set_add(seen, id);
  }
  return LW_OK;
}

// Walks the operators in order. On entry `written` and `inputs` hold the graph inputs.
static lw_status check_flow(const lw_file *file, const tensor_set *inputs, tensor_set *written, tensor_set *used,
                            lw_error *error) {
  for (uint32_t i = 0; i < file->op_count; i++) {
    const lw_op_record *op = &file->ops[i];
    for (uint32_t k = 0; k < op->input_count; k++) {
      if (!set_has(written, op->inputs[k])) return lw_fail(error, LW_E_OP_ORDER, "op", i, op->inputs[k], 0);
      set_add(used, op->inputs[k]);
    }
    if (set_has(inputs, op->output)) return lw_fail(error, LW_E_GRAPH_INPUTS, "op", i, op->output, 0);
    if (set_has(written, op->output)) return lw_fail(error, LW_E_OP_OUTPUT, "op", i, op->output, 0);
    set_add(written, op->output);
  }
  return LW_OK;
}

static lw_status check_dataflow(const lw_file *file, lw_error *error) {
  tensor_set inputs = {{0}}, used = {{0}}, written;
  LW_TRY(check_graph_list(file, 0, &inputs, error));
  LW_TRY(check_graph_list(file, 1, &used, error));
  written = inputs;
  LW_TRY(check_flow(file, &inputs, &written, &used, error));
  const uint32_t *outputs = file->graph + file->input_count;
  for (uint32_t i = 0; i < file->output_count; i++)
    if (set_has(&inputs, outputs[i]) || !set_has(&written, outputs[i]))
      return lw_fail(error, LW_E_GRAPH_OUTPUTS, "graph", i, outputs[i], 0);
  for (uint32_t i = 0; i < file->tensor_count; i++)
    if (!set_has(&used, i)) return lw_fail(error, LW_E_TENSOR_UNUSED, "tensor", i, 0, 1);
  return LW_OK;
}

lw_status lw_verify_graph(const lw_file *file, lw_error *error) {
  for (uint32_t i = 0; i < file->tensor_count; i++) LW_TRY(check_tensor(&file->tensors[i], i, error));
  for (uint32_t i = 0; i < file->op_count; i++) LW_TRY(check_op_record(file, i, error));
  return check_dataflow(file, error);
}
