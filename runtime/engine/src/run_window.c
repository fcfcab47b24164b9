// Depthwise convolution and pooling, plane by plane. Threads share the planes, and rows of a plane where those are few.
#include "../reference/lw_reference.h"
#include "lw_internal.h"

#define PARTS_PER_WORKER 8u  // so many that an uneven end costs little

static lw_requant requant_of(const lw_call *call, uint32_t clamp_slot) {
  const uint32_t *attributes = call->plan->record->attributes;
  return (lw_requant){(int32_t)call->output->zero_point, (int32_t)attributes[clamp_slot],
                      (int32_t)attributes[clamp_slot + 1]};
}

static size_t aligned(size_t bytes) { return lw_ceil_div(bytes, LW_ALIGNMENT) * LW_ALIGNMENT; }

lw_depthwise_args lw_depthwise_args_of(const lw_call *call) {
  const lw_window w = lw_window_of(call->plan->record);
  const size_t quads = lw_call_quads(call->input), taps = (size_t)w.kernel_h * w.kernel_w;
  const uint8_t *bias = call->plan->data + aligned(quads * taps * LW_QUAD);
  const uint8_t *scale = bias + aligned(quads * LW_QUAD * sizeof(int32_t));
  return (lw_depthwise_args){.input = call->from->data,
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
                             .weights = (const int8_t *)call->plan->data,
                             .bias = (const int32_t *)(const void *)bias,
                             .scale = (const float *)(const void *)scale,
                             .requant = requant_of(call, LW_DEPTHWISE_CLAMP_MIN),
                             .zero_point = (uint8_t)call->input->zero_point,
                             .output = call->to->data,
                             .scratch = call->model->scratch,
                             .scratch_bytes = LW_DEPTHWISE_SCRATCH(call->input->dims[3], w.kernel_w)};
}

static void depthwise_plane(const lw_call *call, uint32_t quad, uint32_t chunk, uint32_t worker) {
  lw_depthwise_args args = *(const lw_depthwise_args *)call->args;
  lw_depthwise_to_quad(&args, call->from->plane, quad);
  args.row_begin = lw_part_begin(args.output_height, chunk, call->chunks);
  args.row_end = lw_part_begin(args.output_height, chunk + 1, call->chunks);
  args.output += quad * call->to->plane + (size_t)args.row_begin * args.output_width * LW_QUAD;
  args.scratch += worker * call->model->scratch_stride;
  call->plan->kernel->function(&args);
}

static lw_pool_args pool_args(const lw_call *call) {
  const lw_window w = lw_window_of(call->plan->record);
  const int average = call->plan->record->kind == LW_OP_AVG_POOL;
  // One multiplier or one per tap: a single one fits in one line with up to sixteen, so the size does not tell.
  const int per_tap = average && (w.pad_top | w.pad_left | w.pad_bottom | w.pad_right) != 0 &&
                      call->plan->record->attributes[LW_AVG_POOL_INCLUDE_PAD] == 0;
  const int flat = call->output->rank == 2;  // float [1,C]: one pixel
  return (lw_pool_args){
      .input = call->from->data,
      .height = call->input->dims[2],
      .width = call->input->dims[3],
      .output_height = flat ? 1 : call->output->dims[2],
      .output_width = flat ? 1 : call->output->dims[3],
      .kernel_h = w.kernel_h,
      .kernel_w = w.kernel_w,
      .stride_h = w.stride_h,
      .stride_w = w.stride_w,
      .pad_top = w.pad_top,
      .pad_left = w.pad_left,
      .zero_point = (int32_t)call->input->zero_point,
      .multipliers = (const float *)(const void *)call->plan->data,
      .multiplier_count = per_tap ? w.kernel_h * w.kernel_w : 1,
      .requant = average ? requant_of(call, LW_AVG_POOL_CLAMP_MIN) : (lw_requant){0, 0, LW_ACTIVATION_MAX},
      .output = call->to->data,
  };
}

static lw_pool_args pool_part(const lw_call *call, uint32_t quad, uint32_t chunk) {
  lw_pool_args args = *(const lw_pool_args *)call->args;
  args.input += quad * call->from->plane;
  args.row_begin = lw_part_begin(args.output_height, chunk, call->chunks);
  args.row_end = lw_part_begin(args.output_height, chunk + 1, call->chunks);
  return args;
}

static void pool_plane(const lw_call *call, uint32_t quad, uint32_t chunk, uint32_t worker) {
  lw_pool_args args = pool_part(call, quad, chunk);
  args.output += quad * call->to->plane;
  call->plan->kernel->function(&args);
  (void)worker;
}

static void pool_f32_plane(const lw_call *call, uint32_t quad, uint32_t chunk, uint32_t worker) {
  const uint32_t first = quad * LW_QUAD, left = call->output->dims[1] - first;
  const lw_pool_args args = pool_part(call, quad, chunk);
  float *output = (float *)(void *)call->to->data + (size_t)first * args.output_height * args.output_width;
  lw_avg_pool_f32(&args, left < LW_QUAD ? left : LW_QUAD, output);
  (void)worker;
}

typedef void (*plane_task)(const lw_call *call, uint32_t quad, uint32_t chunk, uint32_t worker);

// A small plane takes less time than to take a part: several share one.
static void run_planes(const lw_call *call, plane_task task, uint32_t part, uint32_t worker) {
  const uint32_t quads = lw_call_quads(call->output), groups = call->parts / call->chunks;
  const uint32_t group = part / call->chunks, end = lw_part_begin(quads, group + 1, groups);
  for (uint32_t quad = lw_part_begin(quads, group, groups); quad < end; quad++)
    task(call, quad, part % call->chunks, worker);
}

static void depthwise_task(void *argument, uint32_t part, uint32_t worker) {
  run_planes(argument, depthwise_plane, part, worker);
}

static void pool_task(void *argument, uint32_t part, uint32_t worker) {
  const lw_call *call = argument;
  run_planes(call, call->output->dtype == LW_DTYPE_F32 ? pool_f32_plane : pool_plane, part, worker);
}

static void split_planes(lw_call *call, lw_task task, uint32_t rows) {
  const uint32_t quads = lw_call_quads(call->output), workers = call->model->workers;
  const size_t enough = (size_t)workers * PARTS_PER_WORKER;
  call->chunks = lw_cuts(call, PARTS_PER_WORKER, quads, rows);
  lw_split(call, task, (workers > 1 && enough < quads ? (uint32_t)enough : quads) * call->chunks);
}

void lw_run_depthwise(lw_call *call) {
  const lw_depthwise_args args = lw_depthwise_args_of(call);
  call->args = &args;
  split_planes(call, depthwise_task, args.output_height);
}

void lw_run_pool(lw_call *call) {
  const lw_pool_args args = pool_args(call);
  call->args = &args;
  split_planes(call, pool_task, args.output_height);
}
