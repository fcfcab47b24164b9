// One block of work memory, in this order: model, places, operator plans, convolution tables, arena, scratch of each
// worker. The sizes are found without memory, so that lw_model_memory and lw_model_create agree by construction.
#include "checked.h"
#include "lw_internal.h"

typedef struct {
  uint64_t places, plans, tables, arena, scratch, end;  // offsets from the model
  uint64_t arena_bytes, scratch_stride;
  uint32_t workers;
  lw_tier tier;
} work_layout;

static lw_kernel_wish wish_of(const lw_file *file, const lw_op_record *op) {
  const lw_window w = lw_window_of(op);
  lw_kernel_wish wish = {0, 0, 0, 0};
  if (op->kind == LW_OP_CONV) {
    wish.block_rows = op->attributes[LW_CONV_BLOCK_ROWS];
    wish.sparse = op->attributes[LW_CONV_ENCODING] != LW_ENCODING_BITMASK ? -1 : lw_conv_keeps_pairs(file, op) ? 2 : 1;
  } else if (op->kind == LW_OP_DEPTHWISE || op->kind == LW_OP_AVG_POOL || op->kind == LW_OP_MAX_POOL) {
    const int square = w.kernel_h == w.kernel_w && w.stride_h == w.stride_w && w.dilation_h == 1 && w.dilation_w == 1;
    if (square) wish = (lw_kernel_wish){0, 0, w.kernel_h, w.stride_h};
  }
  return wish;
}

static lw_family family_of(const lw_file *file, const lw_op_record *op) {
  switch (op->kind) {
    case LW_OP_CONV:
      return lw_conv_is_gemv(file, op) ? LW_FAMILY_GEMV : LW_FAMILY_GEMM;
    case LW_OP_DEPTHWISE:
      return LW_FAMILY_DEPTHWISE;
    case LW_OP_ADD:
      return LW_FAMILY_ADD;
    case LW_OP_MUL:
      return LW_FAMILY_MUL;
    case LW_OP_TABLE:
      return LW_FAMILY_TABLE;
    case LW_OP_AVG_POOL:  // a float result has one form only
      return file->tensors[op->output].dtype == LW_DTYPE_F32 ? LW_FAMILY_COUNT : LW_FAMILY_AVG_POOL;
    case LW_OP_MAX_POOL:
      return LW_FAMILY_MAX_POOL;
    case LW_OP_QUANTIZE:  // a plain result has one form only
      return file->tensors[op->output].layout == LW_LAYOUT_QUADS ? LW_FAMILY_QUANTIZE : LW_FAMILY_COUNT;
    default:
      return LW_FAMILY_COUNT;
  }
}

static const lw_kernel *kernel_of(const lw_file *file, const lw_op_record *op, lw_tier tier) {
  const lw_family family = family_of(file, op);
  const lw_kernel_wish wish = wish_of(file, op);
  return family == LW_FAMILY_COUNT ? NULL : lw_find_kernel(family, tier, &wish);
}

static uint32_t workers_of(const lw_options *options) {
  return options != NULL && options->parallel != NULL && options->workers > 1 ? options->workers : 1;
}

static uint64_t scratch_bytes(const lw_file *file, const lw_op_record *op, lw_tier tier, const lw_bands *bands) {
  const lw_window w = lw_window_of(op);
  const lw_tensor_record *in = &file->tensors[op->inputs[0]];
  if (op->kind == LW_OP_DEPTHWISE)
    return LW_DEPTHWISE_SCRATCH(in->dims[3], w.kernel_w) +
           lw_ceil_div(in->dims[1], LW_QUAD) * (bands->plane + bands->wide_plane);
  if (op->kind != LW_OP_CONV || lw_conv_is_direct(file, op)) return 0;
  const uint64_t k4 = (uint64_t)w.kernel_h * w.kernel_w * lw_ceil_div(in->dims[1], LW_QUAD);
  const uint32_t pixels = lw_conv_is_gemv(file, op) ? 1 : kernel_of(file, op, tier)->tile;
  return k4 * pixels * LW_QUAD;
}

static uint64_t reserve(uint64_t *cursor, uint64_t bytes) {
  const uint64_t at = *cursor;
  *cursor = lw_sat_add(at, lw_sat_align(bytes, LW_LINE));
  return at;
}

static work_layout lay_out(const lw_file *file, const lw_options *options, lw_tier tier, const lw_arena_plan *arena) {
  work_layout layout = {0};
  layout.tier = tier;
  layout.workers = workers_of(options);
  uint64_t tables = 0;
  for (uint32_t i = 0; i < file->op_count; i++) {
    const lw_op_record *op = &file->ops[i];
    const lw_bands bands = lw_bands_of(file, arena, i, layout.workers);
    const uint64_t scratch = lw_sat_align(scratch_bytes(file, op, tier, &bands), LW_LINE);
    if (scratch > layout.scratch_stride) layout.scratch_stride = scratch;
    if (op->kind != LW_OP_CONV) continue;
    const lw_conv_parts parts = lw_conv_parts_of(file, op);
    tables = lw_sat_add(tables, lw_conv_table_bytes(&parts, kernel_of(file, op, tier)));
  }
  uint64_t cursor = 0;
  (void)reserve(&cursor, sizeof(lw_model));
  layout.places = reserve(&cursor, (uint64_t)file->tensor_count * sizeof(lw_place));
  layout.plans = reserve(&cursor, (uint64_t)file->op_count * sizeof(lw_op_plan));
  layout.tables = reserve(&cursor, tables);
  layout.arena_bytes = arena->arena_bytes;
  layout.arena = reserve(&cursor, arena->arena_bytes);
  layout.scratch = reserve(&cursor, lw_sat_mul(layout.workers, layout.scratch_stride));
  layout.end = cursor;
  return layout;
}

static lw_status choose_tier(const lw_options *options, lw_tier *tier, lw_error *error) {
  *tier = options == NULL || options->tier == LW_TIER_AUTO ? lw_best_tier() : options->tier;
  return lw_tier_available(*tier) ? LW_OK : lw_fail(error, LW_E_KERNEL, "kernel", 0, *tier, lw_best_tier());
}

static lw_status size_up(const lw_file *file, const lw_options *options, const lw_arena_plan *arena,
                         work_layout *layout, lw_error *error) {
  lw_tier tier = LW_TIER_SCALAR;
  LW_TRY(choose_tier(options, &tier, error));
  *layout = lay_out(file, options, tier, arena);
  const uint64_t limit = options != NULL && options->max_memory != 0 ? options->max_memory : UINT64_MAX;
  const uint64_t most = limit < SIZE_MAX / 2 ? limit : SIZE_MAX / 2;
  return layout->end <= most ? LW_OK : lw_fail(error, LW_E_MEMORY, "memory", 0, layout->end, most);
}

lw_status lw_model_memory(const void *bytes, size_t size, const lw_options *options, size_t *need, lw_error *error) {
  lw_file file;
  lw_arena_plan arena;
  work_layout layout;
  if (error != NULL) *error = (lw_error){0};
  if (need == NULL) return lw_fail(error, LW_E_ARGUMENT, "memory", 0, 0, 1);
  LW_TRY(lw_file_open(bytes, size, &file, error));
  LW_TRY(lw_verify_structure(&file, error));  // the weights' values change no size; lw_model_create proves them
  lw_plan_arena(&file, workers_of(options), &arena);
  LW_TRY(size_up(&file, options, &arena, &layout, error));
  *need = (size_t)layout.end;
  return LW_OK;
}

static void plan_places(lw_model *model, const lw_arena_plan *arena) {
  uint64_t own = arena->shared_bytes;  // tensors past the planned ones follow one another
  for (uint32_t t = 0; t < model->file.tensor_count; t++) {
    const lw_tensor_record *record = &model->file.tensors[t];
    lw_place *place = &model->places[t];
    *place = (lw_place){.bytes = (size_t)lw_tensor_memory(record), .root = t};
    if (record->layout == LW_LAYOUT_QUADS) place->plane = lw_plane_bytes((size_t)lw_tensor_pixels(record));
    if (lw_tensor_is_external(&model->file, t)) {
      place->external = 1;
    } else if (t < arena->count) {
      const lw_life *life = &arena->lives[t];
      place->root = life->root;
      place->data = model->arena + life->offset + (life->root == t ? 0 : arena->lives[life->root].offset);
    } else {
      place->data = model->arena + own;
      own += lw_sat_align(place->bytes, LW_LINE);
    }
  }
}

static void plan_ops(lw_model *model, lw_tier tier, const lw_arena_plan *arena, uint8_t *tables) {
  const lw_file *file = &model->file;
  const lw_kernel_wish any = {0, 0, 0, 0};
  for (uint32_t i = 0; i < file->op_count; i++) {
    const lw_op_record *op = &file->ops[i];
    lw_op_plan *plan = &model->plans[i];
    *plan = (lw_op_plan){.record = op, .data = file->data + op->data_offset, .kernel = kernel_of(file, op, tier)};
    plan->bands = lw_bands_of(file, arena, i, model->workers);
    if (op->kind != LW_OP_CONV) continue;
    plan->conv = lw_conv_parts_of(file, op);
    if (!lw_conv_is_direct(file, op)) plan->pack = lw_find_kernel(LW_FAMILY_PACK, tier, &any);
    lw_plan_conv(plan, tables);
    tables += lw_conv_table_bytes(&plan->conv, plan->kernel);
  }
}

// Float graph inputs that a quantize operator does not look at must be searched for NaN.
static void plan_nan_checks(lw_model *model) {
  for (uint32_t i = 0; i < model->file.op_count; i++) {
    const lw_op_record *op = &model->file.ops[i];
    if (op->kind == LW_OP_QUANTIZE) continue;
    for (uint32_t k = 0; k < op->input_count; k++) model->places[op->inputs[k]].search_nan = 1;
  }
}

lw_status lw_model_create(const void *bytes, size_t size, const lw_options *options, void *memory, size_t memory_bytes,
                          lw_model **result, lw_error *error) {
  lw_file file;
  lw_arena_plan arena;
  work_layout layout;
  if (result == NULL) return lw_fail(error, LW_E_ARGUMENT, "memory", 0, 0, 1);
  *result = NULL;
  LW_TRY(lw_verify(bytes, size, error));
  LW_TRY(lw_file_open(bytes, size, &file, error));
  lw_plan_arena(&file, workers_of(options), &arena);
  LW_TRY(size_up(&file, options, &arena, &layout, error));
  if (memory == NULL || memory_bytes < layout.end)
    return lw_fail(error, LW_E_ARGUMENT, "memory", 0, memory == NULL ? 0 : memory_bytes, layout.end);
  if ((uintptr_t)memory % LW_LINE != 0)
    return lw_fail(error, LW_E_ALIGNMENT, "memory", 0, (uintptr_t)memory % LW_LINE, 0);

  uint8_t *base = memory;
  lw_model *model = memory;
  __builtin_memset(model, 0, sizeof *model);
  model->file = file;
  if (options != NULL) model->options = *options;
  model->options.tier = layout.tier;
  model->workers = layout.workers;
  model->places = (lw_place *)(void *)(base + layout.places);
  model->plans = (lw_op_plan *)(void *)(base + layout.plans);
  model->arena = base + layout.arena;
  model->arena_bytes = (size_t)layout.arena_bytes;
  model->scratch = base + layout.scratch;
  model->scratch_stride = (size_t)layout.scratch_stride;
  atomic_flag_clear(&model->running);
  // Kernels read padding, and tables are looked up with it: it must start as u7.
  __builtin_memset(base + layout.arena, 0, (size_t)(layout.end - layout.arena));
  plan_places(model, &arena);
  plan_ops(model, layout.tier, &arena, base + layout.tables);
  plan_nan_checks(model);
  *result = model;
  return LW_OK;
}
