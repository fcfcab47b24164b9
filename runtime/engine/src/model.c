// What a caller may ask a model.
#include "../reference/lw_reference.h"
#include "lw_internal.h"

uint32_t lw_model_input_count(const lw_model *model) { return model->file.input_count; }
uint32_t lw_model_output_count(const lw_model *model) { return model->file.output_count; }
uint32_t lw_model_op_count(const lw_model *model) { return model->file.op_count; }
size_t lw_model_arena_bytes(const lw_model *model) { return model->arena_bytes; }

const char *lw_model_metadata(const lw_model *model, size_t *bytes) {
  *bytes = (size_t)model->file.metadata_bytes;
  return (const char *)model->file.metadata;
}

static lw_tensor_info tensor_info(const lw_file *file, uint32_t tensor) {
  const lw_tensor_record *t = &file->tensors[tensor];
  lw_tensor_info info = {.name = (const char *)file->names + t->name_offset,
                         .name_bytes = t->name_bytes,
                         .tensor = tensor,
                         .dtype = t->dtype,
                         .layout = t->layout,
                         .rank = t->rank,
                         .scale = t->scale,
                         .zero_point = t->zero_point,
                         .bytes = (size_t)lw_tensor_plain_bytes(t)};
  __builtin_memcpy(info.dims, t->dims, sizeof info.dims);
  return info;
}

lw_tensor_info lw_model_input(const lw_model *model, uint32_t i) {
  if (i >= model->file.input_count) return (lw_tensor_info){0};
  return tensor_info(&model->file, model->file.graph[i]);
}

lw_tensor_info lw_model_output(const lw_model *model, uint32_t i) {
  if (i >= model->file.output_count) return (lw_tensor_info){0};
  return tensor_info(&model->file, model->file.graph[model->file.input_count + i]);
}

static const char *operator_name(uint32_t kind) {
  switch (kind) {
#define X(NAME, number, name, attributes, least, most) \
  case number:                                         \
    return name;
    LW_OPERATORS(X)
#undef X
    default:
      return "";
  }
}

lw_op_info lw_model_op(const lw_model *model, uint32_t i) {
  if (i >= model->file.op_count) return (lw_op_info){0};
  const lw_file *file = &model->file;
  const lw_op_plan *plan = &model->plans[i];
  const lw_op_record *op = plan->record;
  lw_op_info info = {.name = (const char *)file->names + op->name_offset,
                     .name_bytes = op->name_bytes,
                     .kind = op->kind,
                     .kernel = plan->kernel != NULL ? plan->kernel->name : operator_name(op->kind),
                     .tier = plan->kernel != NULL ? plan->kernel->tier : LW_TIER_SCALAR,
                     .macs = lw_op_macs(file, op),
                     .weight_bytes = op->data_bytes};
  info.kept_macs = info.macs;
  const uint64_t blocks = (uint64_t)plan->conv.rows * plan->conv.k4;
  if (op->kind == LW_OP_CONV && plan->conv.sparse)  // at most 2^40 cost and 2^32 blocks: scale before multiplying
    info.kept_macs = info.macs / blocks * plan->conv.kept + info.macs % blocks * plan->conv.kept / blocks;
  return info;
}

void lw_model_observe(lw_model *model, lw_observer observer, void *context) {
  model->observer = observer;
  model->observer_context = context;
}

size_t lw_model_read_result(const lw_model *model, uint32_t op, void *plain, size_t capacity) {
  if (op >= model->file.op_count) return 0;
  const uint32_t tensor = model->file.ops[op].output;
  const lw_tensor_record *record = &model->file.tensors[tensor];
  const lw_place *place = &model->places[tensor];
  const size_t need = (size_t)lw_tensor_plain_bytes(record);
  if (plain == NULL || capacity < need || place->data == NULL) return need;
  if (record->layout == LW_LAYOUT_QUADS)
    lw_layout_to_plain(place->data, place->plane, record->dims[1], (size_t)lw_tensor_pixels(record), plain);
  else
    __builtin_memcpy(plain, place->data, need);
  return need;
}
