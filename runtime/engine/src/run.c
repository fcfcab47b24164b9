// One run: the caller's arrays are checked and put in place, then the operators follow in file order.
#include "lw_internal.h"

void lw_split(lw_call *call, lw_task task, uint32_t parts) {
  lw_model *model = call->model;
  call->parts = parts;
  if (model->workers > 1 && parts > 1) {
    model->options.parallel(model->options.parallel_context, task, call, parts);
    return;
  }
  for (uint32_t part = 0; part < parts; part++) task(call, part, 0);
}

uint32_t lw_cuts(const lw_call *call, uint32_t per_worker, uint32_t pieces, uint32_t most) {
  const size_t workers = call->model->workers, wanted = lw_ceil_div(workers * per_worker, pieces);
  if (workers == 1 || wanted < 1) return 1;
  return wanted < most ? (uint32_t)wanted : most;
}

static void run_op(lw_call *call) {
  switch (call->plan->record->kind) {
    case LW_OP_QUANTIZE:
      lw_run_quantize(call);
      break;
    case LW_OP_DEQUANTIZE:
      lw_run_dequantize(call);
      break;
    case LW_OP_CONV:
      lw_run_conv(call);
      break;
    case LW_OP_DEPTHWISE:
      lw_run_depthwise(call);
      break;
    case LW_OP_ADD:
    case LW_OP_MUL:
      lw_run_binary(call);
      break;
    case LW_OP_AVG_POOL:
    case LW_OP_MAX_POOL:
      lw_run_pool(call);
      break;
    case LW_OP_CONCAT:
      lw_run_concat(call);
      break;
    case LW_OP_PAD:
      lw_run_pad(call);
      break;
    case LW_OP_RESIZE:
      lw_run_resize(call);
      break;
    case LW_OP_SOFTMAX:
      lw_run_softmax(call);
      break;
    case LW_OP_TABLE:
      lw_run_table(call);
      break;
    case LW_OP_LAYOUT:
      lw_run_layout(call);
      break;
    case LW_OP_RESHAPE:
      lw_run_reshape(call);
      break;
    default:  // the verifier knows no other
      lw_run_transpose(call);
      break;
  }
}

static int holds_nan(const float *values, size_t count) {
  int any = 0;
  for (size_t i = 0; i < count; i++) any |= values[i] != values[i];
  return any;
}

static uint8_t union_of(const uint8_t *values, size_t count) {
  uint8_t any = 0;
  for (size_t i = 0; i < count; i++) any |= values[i];
  return any;
}

static lw_status check_input(const lw_model *model, uint32_t i, const void *array, lw_error *error) {
  const uint32_t tensor = model->file.graph[i];
  const lw_place *place = &model->places[tensor];
  if (array == NULL) return lw_fail(error, LW_E_ARGUMENT, "input", i, 0, place->bytes);
  if (model->file.tensors[tensor].dtype == LW_DTYPE_U7) {
    const uint8_t any = union_of(array, place->bytes);
    return any <= LW_ACTIVATION_MAX ? LW_OK : lw_fail(error, LW_E_INPUT_RANGE, "input", i, any, LW_ACTIVATION_MAX);
  }
  if ((uintptr_t)array % sizeof(float) != 0)
    return lw_fail(error, LW_E_ARGUMENT, "input", i, (uintptr_t)array % sizeof(float), 0);
  if (place->search_nan && holds_nan(array, place->bytes / sizeof(float)))
    return lw_fail(error, LW_E_INPUT_NAN, "input", i, 0, 0);
  return LW_OK;
}

static lw_status bind(lw_model *model, const void *const *inputs, void *const *outputs, lw_error *error) {
  const lw_file *file = &model->file;
  for (uint32_t i = 0; i < file->input_count; i++) {
    LW_TRY(check_input(model, i, inputs[i], error));
    // Never written: no operator writes a graph input, and none works in place on one.
    __builtin_memcpy(&model->places[file->graph[i]].data, &inputs[i], sizeof(void *));
  }
  for (uint32_t i = 0; i < file->output_count; i++) {
    const uint32_t tensor = file->graph[file->input_count + i];
    const size_t unit = file->tensors[tensor].dtype == LW_DTYPE_F32 ? sizeof(float) : 1;
    if (outputs[i] == NULL || (uintptr_t)outputs[i] % unit != 0)
      return lw_fail(error, LW_E_ARGUMENT, "output", i, 0, model->places[tensor].bytes);
    model->places[tensor].data = outputs[i];
  }
  return LW_OK;
}

// A quantize operator met NaN: in a graph input, or in what a float operator computed.
static lw_status report_nan(const lw_model *model, uint32_t op, lw_error *error) {
  for (uint32_t i = 0; i < model->file.input_count; i++)
    if (model->file.graph[i] == model->file.ops[op].inputs[0]) return lw_fail(error, LW_E_INPUT_NAN, "input", i, 0, 0);
  return lw_fail(error, LW_E_INPUT_NAN, "op", op, 0, 0);
}

static lw_call call_of(lw_model *model, uint32_t i) {
  const lw_file *file = &model->file;
  const lw_op_record *op = &file->ops[i];
  return (lw_call){.model = model,
                   .plan = &model->plans[i],
                   .input = &file->tensors[op->inputs[0]],
                   .output = &file->tensors[op->output],
                   .from = &model->places[op->inputs[0]],
                   .to = &model->places[op->output],
                   .parts = 1,
                   .chunks = 1};
}

// Runs operator `i` and those that run with it in bands. Returns the next one.
static uint32_t run_from(lw_model *model, uint32_t i) {
  const lw_op_plan *plans = &model->plans[i];
  lw_call call = call_of(model, i);
  if (LW_HAS_BANDS && model->observer == NULL) {  // an observer wants to see what lies between
    if (i + 1 < model->file.op_count && plans[1].bands.wide_plane != 0) {
      const lw_call depthwise = call_of(model, i + 1);
      lw_call pointwise = call_of(model, i + 2);
      lw_run_bands(&call, &depthwise, &pointwise);
      return i + 3;
    }
    if (plans[0].bands.count != 0) {
      lw_call pointwise = call_of(model, i + 1);
      lw_run_bands(NULL, &call, &pointwise);
      return i + 2;
    }
  }
  run_op(&call);
  return i + 1;
}

static lw_status run_all(lw_model *model, const void *const *inputs, void *const *outputs, lw_error *error) {
  LW_TRY(bind(model, inputs, outputs, error));
  atomic_store_explicit(&model->found_nan, 0, memory_order_relaxed);
  for (uint32_t i = 0, next; i < model->file.op_count; i = next) {
    next = run_from(model, i);
    if (model->plans[i].record->kind == LW_OP_QUANTIZE &&
        atomic_load_explicit(&model->found_nan, memory_order_relaxed) != 0)
      return report_nan(model, i, error);
    if (model->observer != NULL) model->observer(model->observer_context, i);
  }
  return LW_OK;
}

lw_status lw_run(lw_model *model, const void *const *inputs, void *const *outputs, lw_error *error) {
  if (error != NULL) *error = (lw_error){0};
  if (model == NULL || inputs == NULL || outputs == NULL) return lw_fail(error, LW_E_ARGUMENT, "input", 0, 0, 1);
  if (atomic_flag_test_and_set_explicit(&model->running, memory_order_acquire))
    return lw_fail(error, LW_E_BUSY, "input", 0, 0, 0);
  const lw_status status = run_all(model, inputs, outputs, error);
  atomic_flag_clear_explicit(&model->running, memory_order_release);
  return status;
}
