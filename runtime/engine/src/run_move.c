// Operators that only move values: layout, reshape, transpose, concat, pad; and resize, which moves and blends.
#include "../reference/lw_reference.h"
#include "lw_internal.h"

static size_t element_bytes(const lw_tensor_record *tensor) { return tensor->dtype == LW_DTYPE_F32 ? 4 : 1; }

void lw_run_layout(lw_call *call) {
  const size_t pixels = (size_t)call->output->dims[2] * call->output->dims[3];
  const uint32_t channels = call->output->dims[1];
  if (call->output->layout == LW_LAYOUT_QUADS)
    lw_layout_to_quads(call->from->data, channels, pixels, call->to->data, call->to->plane);
  else
    lw_layout_to_plain(call->from->data, call->from->plane, channels, pixels, call->to->data);
}

void lw_run_reshape(lw_call *call) {
  if (call->to->data != call->from->data) __builtin_memcpy(call->to->data, call->from->data, call->to->bytes);
}

void lw_run_transpose(lw_call *call) {
  lw_transpose(call->from->data, call->input->dims, call->plan->record->attributes, call->input->rank,
               element_bytes(call->input), call->to->data);
}

static void concat_quads(const lw_call *call) {
  uint32_t first = 0;
  for (uint32_t k = 0; k < call->plan->record->input_count; k++) {
    const lw_place *from = lw_call_place(call, k);
    const uint32_t channels = lw_call_input(call, k)->dims[1];
    const uint8_t *wanted = call->to->data + first / LW_QUAD * call->to->plane;
    if (from->data != wanted)  // else its operator wrote it where it belongs
      lw_concat_quads(from->data, from->plane, channels, (size_t)lw_tensor_pixels(call->output), first, call->to->data,
                      call->to->plane);
    first += channels;
  }
}

void lw_run_concat(lw_call *call) {
  if (call->output->layout == LW_LAYOUT_QUADS) {
    concat_quads(call);
    return;
  }
  const lw_op_record *op = call->plan->record;
  const void *inputs[LW_MAX_INPUTS] = {NULL};
  size_t bytes[LW_MAX_INPUTS] = {0};
  size_t outer = 1;
  for (uint32_t i = 0; i < op->attributes[LW_CONCAT_AXIS]; i++) outer *= call->output->dims[i];
  for (uint32_t k = 0; k < op->input_count; k++) {
    inputs[k] = lw_call_place(call, k)->data;
    bytes[k] = lw_call_place(call, k)->bytes / outer;
  }
  lw_concat_plain(inputs, bytes, op->input_count, outer, call->to->data);
}

static void pad_task(void *argument, uint32_t quad, uint32_t worker) {
  const lw_call *call = argument;
  const uint32_t *pads = call->plan->record->attributes;
  lw_pad_plane(call->from->data + quad * call->from->plane, call->input->dims[2], call->input->dims[3],
               pads[LW_PAD_PAD_TOP], pads[LW_PAD_PAD_LEFT], pads[LW_PAD_PAD_BOTTOM], pads[LW_PAD_PAD_RIGHT],
               (uint8_t)call->input->zero_point, call->to->data + quad * call->to->plane);
  (void)worker;
}

void lw_run_pad(lw_call *call) { lw_split(call, pad_task, lw_call_quads(call->output)); }

static const uint16_t *take_u16(const uint8_t **at, uint32_t count) {
  const uint16_t *part = (const uint16_t *)(const void *)*at;
  *at += lw_ceil_div((size_t)count * sizeof *part, LW_ALIGNMENT) * LW_ALIGNMENT;
  return part;
}

static void resize_task(void *argument, uint32_t quad, uint32_t worker) {
  const lw_call *call = argument;
  const uint32_t height = call->output->dims[2], width = call->output->dims[3];
  const uint8_t *at = call->plan->data;
  const uint8_t *from = call->from->data + quad * call->from->plane;
  uint8_t *to = call->to->data + quad * call->to->plane;
  if (call->plan->record->attributes[LW_RESIZE_MODE] == LW_RESIZE_NEAREST) {
    const uint16_t *rows = take_u16(&at, height), *cols = take_u16(&at, width);
    lw_resize_nearest_plane(from, call->input->dims[3], rows, height, cols, width, to);
    return;
  }
  lw_resize_axis axes[2];
  for (uint32_t axis = 0; axis < 2; axis++) {
    const uint32_t size = call->output->dims[2 + axis];
    axes[axis].low = take_u16(&at, size);
    axes[axis].high = take_u16(&at, size);
    axes[axis].weight = take_u16(&at, size);
    axes[axis].output_size = size;
  }
  lw_resize_bilinear_plane(from, call->input->dims[3], &axes[0], &axes[1], to);
  (void)worker;
}

void lw_run_resize(lw_call *call) { lw_split(call, resize_task, lw_call_quads(call->output)); }
