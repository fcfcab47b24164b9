// Depthwise convolution and pooling: plane by plane, and by rows of a plane where planes are few.
#include "lw_internal.h"

static lw_requant requant_of(const lw_call *call, uint32_t clamp_slot) {
  const uint32_t *attributes = call->plan->record->attributes;
  return (lw_requant){(int32_t)call->output->zero_point, (int32_t)attributes[clamp_slot],
                      (int32_t)attributes[clamp_slot + 1]};
}

static size_t aligned(size_t bytes) { return lw_ceil_div(bytes, LW_ALIGNMENT) * LW_ALIGNMENT; }

static void depthwise_task(void *argument, uint32_t part, uint32_t worker) {
  const lw_call *call = argument;
  const lw_window w = lw_window_of(call->plan->record);
  const uint32_t quad = part / call->chunks, chunk = part % call->chunks, quads = lw_call_quads(call->input);
  const size_t taps = (size_t)w.kernel_h * w.kernel_w;
  const uint8_t *bias = call->plan->data + aligned(quads * taps * LW_QUAD);
  const uint8_t *scale = bias + aligned((size_t)quads * LW_QUAD * sizeof(int32_t));
  const lw_depthwise_args args = {
      .input = call->from->data + quad * call->from->plane,
      .height = call->input->dims[2],
      .width = call->input->dims[3],
      .output_height = call->output->dims[2],
      .output_width = call->output->dims[3],
      .kernel_h = w.kernel_h,
      .kernel_w = w.kernel_w,
      .stride_h = w.stride_h,
      .stride_w = w.stride_w,
      .dilation_h = w.dilation_h,
      .dilation_w = w.dilation_w,
      .pad_top = w.pad_top,
      .pad_left = w.pad_left,
      .weights = (const int8_t *)call->plan->data + quad * taps * LW_QUAD,
      .bias = (const int32_t *)(const void *)bias + quad * LW_QUAD,
      .scale = (const float *)(const void *)scale + quad * LW_QUAD,
      .requant = requant_of(call, LW_DEPTHWISE_CLAMP_MIN),
      .zero_point = (uint8_t)call->input->zero_point,
      .row_begin = lw_part_begin(call->output->dims[2], chunk, call->chunks),
      .row_end = lw_part_begin(call->output->dims[2], chunk + 1, call->chunks),
      .output = call->to->data + quad * call->to->plane,
      .scratch = call->model->scratch + worker * call->model->scratch_stride,
      .scratch_bytes = call->model->scratch_stride,
  };
  call->plan->kernel->function(&args);
}

static void pool_task(void *argument, uint32_t part, uint32_t worker) {
  const lw_call *call = argument;
  const lw_window w = lw_window_of(call->plan->record);
  const uint32_t quad = part / call->chunks, chunk = part % call->chunks;
  const int average = call->plan->record->kind == LW_OP_AVG_POOL;
  const size_t taps = (size_t)w.kernel_h * w.kernel_w;
  const lw_pool_args args = {
      .input = call->from->data + quad * call->from->plane,
      .height = call->input->dims[2],
      .width = call->input->dims[3],
      .output_height = call->output->dims[2],
      .output_width = call->output->dims[3],
      .kernel_h = w.kernel_h,
      .kernel_w = w.kernel_w,
      .stride_h = w.stride_h,
      .stride_w = w.stride_w,
      .pad_top = w.pad_top,
      .pad_left = w.pad_left,
      .zero_point = (int32_t)call->input->zero_point,
      .multipliers = (const float *)(const void *)call->plan->data,
      // One multiplier or one per tap: a single one fits in one line with up to sixteen, so the size does not tell.
      .multiplier_count = average && (w.pad_top | w.pad_left | w.pad_bottom | w.pad_right) != 0 &&
                                  call->plan->record->attributes[LW_AVG_POOL_INCLUDE_PAD] == 0
                              ? (uint32_t)taps
                              : 1,
      .requant = average ? requant_of(call, LW_AVG_POOL_CLAMP_MIN) : (lw_requant){0, 0, LW_ACTIVATION_MAX},
      .row_begin = lw_part_begin(call->output->dims[2], chunk, call->chunks),
      .row_end = lw_part_begin(call->output->dims[2], chunk + 1, call->chunks),
      .output = call->to->data + quad * call->to->plane,
  };
  call->plan->kernel->function(&args);
  (void)worker;
}

static void split_planes(lw_call *call, lw_task task) {
  const uint32_t quads = lw_call_quads(call->output), rows = call->output->dims[2], workers = call->model->workers;
  const uint32_t wanted = workers == 1 ? 1 : (uint32_t)lw_ceil_div((size_t)workers * 3, quads);
  call->chunks = wanted < rows ? wanted : rows;
  lw_split(call, task, quads * call->chunks);
}

void lw_run_depthwise(lw_call *call) { split_planes(call, depthwise_task); }
void lw_run_pool(lw_call *call) { split_planes(call, pool_task); }
