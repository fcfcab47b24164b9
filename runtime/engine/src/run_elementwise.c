// Add, mul, table: byte by byte, so that padding is computed along; planes of quads are cut only between planes.
#include "lw_internal.h"

// Bytes [begin, end) of the tensor that a part covers, in whole planes or whole lines.
static void cut_bytes(const lw_call *call, uint32_t part, size_t *begin, size_t *end) {
  const size_t unit = call->to->plane > LW_QUAD ? call->to->plane : LW_LINE;
  const uint32_t units = (uint32_t)lw_ceil_div(call->to->bytes, unit);
  *begin = lw_part_begin(units, part, call->parts) * unit;
  *end = lw_part_begin(units, part + 1, call->parts) * unit;
  if (*end > call->to->bytes) *end = call->to->bytes;
}

static uint32_t byte_parts(const lw_call *call) {
  const uint32_t lines = (uint32_t)lw_ceil_div(call->to->bytes, LW_LINE * 64);  // less is not worth a thread
  const uint32_t most = call->model->workers * 2;
  return lines < most ? (lines == 0 ? 1 : lines) : most;
}

static void binary_task(void *argument, uint32_t part, uint32_t worker) {
  const lw_call *call = argument;
  const lw_op_record *op = call->plan->record;
  const uint32_t slot = op->kind == LW_OP_ADD ? LW_ADD_CLAMP_MIN : LW_MUL_CLAMP_MIN;
  size_t begin, end;
  cut_bytes(call, part, &begin, &end);
  const lw_binary_args args = {
      .a = call->from->data + begin,
      .b = lw_call_place(call, 1)->data + begin,
      .output = call->to->data + begin,
      .count = end - begin,
      .zero_point_a = (int32_t)call->input->zero_point,
      .zero_point_b = (int32_t)lw_call_input(call, 1)->zero_point,
      .multiplier_a = lw_attribute_f32(op, 0),
      .multiplier_b = op->kind == LW_OP_ADD ? lw_attribute_f32(op, LW_ADD_MULTIPLIER1) : 0.0f,
      .requant = {(int32_t)call->output->zero_point, (int32_t)op->attributes[slot], (int32_t)op->attributes[slot + 1]},
  };
  call->plan->kernel->function(&args);
  (void)worker;
}

static void scale_plane_task(void *argument, uint32_t quad, uint32_t worker) {
  const lw_call *call = argument;
  const lw_op_record *op = call->plan->record;
  const lw_binary_args args = {
      .a = call->from->data + quad * call->from->plane,
      .b = lw_call_place(call, 1)->data + (size_t)quad * LW_QUAD,
      .output = call->to->data + quad * call->to->plane,
      .count = call->to->plane,
      .zero_point_a = (int32_t)call->input->zero_point,
      .zero_point_b = (int32_t)lw_call_input(call, 1)->zero_point,
      .multiplier_a = lw_attribute_f32(op, LW_MUL_MULTIPLIER),
      .b_quad = 1,
      .requant = {(int32_t)call->output->zero_point, (int32_t)op->attributes[LW_MUL_CLAMP_MIN],
                  (int32_t)op->attributes[LW_MUL_CLAMP_MAX]},
  };
  call->plan->kernel->function(&args);
  (void)worker;
}

void lw_run_binary(lw_call *call) {
  const lw_tensor_record *b = lw_call_input(call, 1);
  const int broadcast = b->layout == LW_LAYOUT_QUADS && lw_tensor_pixels(b) == 1 && lw_tensor_pixels(call->input) != 1;
  if (broadcast)
    lw_split(call, scale_plane_task, lw_call_quads(call->output));
  else
    lw_split(call, binary_task, byte_parts(call));
}

static void table_task(void *argument, uint32_t part, uint32_t worker) {
  const lw_call *call = argument;
  size_t begin, end;
  cut_bytes(call, part, &begin, &end);
  const lw_table_args args = {.input = call->from->data + begin,
                              .output = call->to->data + begin,
                              .count = end - begin,
                              .table = call->plan->data};
  call->plan->kernel->function(&args);
  (void)worker;
}

// The last quad's padding channels have no table: the last channel's serves them.
static void channel_table_task(void *argument, uint32_t quad, uint32_t worker) {
  const lw_call *call = argument;
  const uint32_t left = call->output->dims[1] - quad * LW_QUAD;
  uint8_t tables[LW_QUAD][128];
  const uint8_t *table = call->plan->data + (size_t)quad * LW_QUAD * 128;
  for (uint32_t c = 0; c < LW_QUAD; c++)
    for (uint32_t q = 0; q < 128; q++) tables[c][q] = table[(c < left ? c : left - 1) * 128 + q];
  const lw_table_args args = {.input = call->from->data + quad * call->from->plane,
                              .output = call->to->data + quad * call->to->plane,
                              .count = call->to->plane,
                              .table = left < LW_QUAD ? tables[0] : table,
                              .per_channel = 1};
  call->plan->kernel->function(&args);
  (void)worker;
}

void lw_run_table(lw_call *call) {
  if (call->plan->record->attributes[LW_TABLE_CHANNELS] > 1)
    lw_split(call, channel_table_task, lw_call_quads(call->output));
  else
    lw_split(call, table_task, byte_parts(call));
}
