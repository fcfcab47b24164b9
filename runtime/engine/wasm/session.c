// The one session of an instance, and its answers as arrays of float64.
#include "lw_internal.h"
#include "lw_web.h"

#define EXPORT __attribute__((visibility("default")))

static lw_options options = {.tier = LW_TIER_AUTO, .workers = 1};
static lw_model *model;
static lw_error error;

EXPORT void lw_web_configure(uint32_t max_memory, uint32_t tier, uint32_t workers) {
  options = (lw_options){.max_memory = max_memory, .tier = (lw_tier)tier, .workers = 1};
#ifdef __wasm_atomics__
  options.workers = workers;
  options.parallel = lw_web_parallel;
#else
  (void)workers;
#endif
}

EXPORT lw_status lw_web_verify(const void *file, uint32_t bytes) { return lw_verify(file, bytes, &error); }

EXPORT uint32_t lw_web_work_bytes(const void *file, uint32_t bytes) {
  size_t need = 0;
  return lw_model_memory(file, bytes, &options, &need, &error) == LW_OK ? (uint32_t)need : 0;
}

EXPORT lw_status lw_web_create(const void *file, uint32_t bytes, void *work, uint32_t work_bytes) {
  return lw_model_create(file, bytes, &options, work, work_bytes, &model, &error);
}

EXPORT lw_status lw_web_run(const void *const *inputs, void *const *outputs) {
  return lw_run(model, inputs, outputs, &error);
}

EXPORT uint32_t lw_web_tier(void) { return lw_best_tier(); }
EXPORT uint32_t lw_web_tier_available(uint32_t tier) { return (uint32_t)lw_tier_available((lw_tier)tier); }

static double address_of(const void *p) { return (double)(uintptr_t)p; }

// Static text into two slots: address and bytes.
static void put_text(double *slots /* [2] */, const char *text) {
  uint32_t bytes = 0;
  while (text != NULL && text[bytes] != 0) bytes++;
  slots[0] = address_of(text);
  slots[1] = bytes;
}

EXPORT const double *lw_web_error(void) {
  static double slots[LW_WEB_ERROR_SLOTS];
  slots[LW_WEB_ERROR_STATUS] = error.status;
  put_text(&slots[LW_WEB_ERROR_WHERE], error.where);
  slots[LW_WEB_ERROR_INDEX] = error.index;
  slots[LW_WEB_ERROR_FOUND] = (double)error.found;
  slots[LW_WEB_ERROR_WANTED] = (double)error.wanted;
  return slots;
}

EXPORT const double *lw_web_model(void) {
  static double slots[LW_WEB_MODEL_SLOTS];
  slots[LW_WEB_MODEL_INPUTS] = lw_model_input_count(model);
  slots[LW_WEB_MODEL_OUTPUTS] = lw_model_output_count(model);
  slots[LW_WEB_MODEL_OPS] = lw_model_op_count(model);
  slots[LW_WEB_MODEL_ARENA_BYTES] = (double)lw_model_arena_bytes(model);
  slots[LW_WEB_MODEL_TIER] = model->options.tier;
  slots[LW_WEB_MODEL_WORKERS] = model->workers;
  slots[LW_WEB_MODEL_METADATA] = address_of(model->file.metadata);
  slots[LW_WEB_MODEL_METADATA_BYTES] = (double)model->file.metadata_bytes;
  return slots;
}

static const double *put_tensor(const lw_tensor_info *info) {
  static double slots[LW_WEB_TENSOR_SLOTS];
  slots[LW_WEB_TENSOR_NAME] = address_of(info->name);
  slots[LW_WEB_TENSOR_NAME_BYTES] = info->name_bytes;
  slots[LW_WEB_TENSOR_DTYPE] = info->dtype;
  slots[LW_WEB_TENSOR_SCALE] = (double)info->scale;
  slots[LW_WEB_TENSOR_ZERO_POINT] = info->zero_point;
  slots[LW_WEB_TENSOR_BYTES] = (double)info->bytes;
  slots[LW_WEB_TENSOR_RANK] = info->rank;
  for (uint32_t d = 0; d < LW_MAX_RANK; d++) slots[LW_WEB_TENSOR_DIM_0 + d] = info->dims[d];
  return slots;
}

EXPORT const double *lw_web_input(uint32_t i) {
  const lw_tensor_info info = lw_model_input(model, i);
  return put_tensor(&info);
}

EXPORT const double *lw_web_output(uint32_t i) {
  const lw_tensor_info info = lw_model_output(model, i);
  return put_tensor(&info);
}

EXPORT const double *lw_web_op(uint32_t i) {
  static double slots[LW_WEB_OP_SLOTS];
  const lw_op_info info = lw_model_op(model, i);
  slots[LW_WEB_OP_NAME] = address_of(info.name);
  slots[LW_WEB_OP_NAME_BYTES] = info.name_bytes;
  slots[LW_WEB_OP_KIND] = info.kind;
  put_text(&slots[LW_WEB_OP_KERNEL], info.kernel);
  slots[LW_WEB_OP_TIER] = info.tier;
  slots[LW_WEB_OP_MACS] = (double)info.macs;
  slots[LW_WEB_OP_KEPT_MACS] = (double)info.kept_macs;
  slots[LW_WEB_OP_WEIGHT_BYTES] = (double)info.weight_bytes;
  return slots;
}
