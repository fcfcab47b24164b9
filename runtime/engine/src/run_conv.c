// Convolution: one pixel as a matrix-vector product; else tiles of pixels, taken in place or packed (im2col), times the
// sparse weights. Threads share tiles, and output channels where tiles are few.
#include "lw_internal.h"

#define PARTS_PER_WORKER 16u        // so many that an uneven end costs little
#define PACKED_PARTS_PER_WORKER 3u  // each cut along channels packs its tile once more

// What all parts of a convolution have in common.
typedef struct {
  lw_gemm_args gemm;  // without the tile and the output's place
  lw_pack_args pack;  // with the first worker's tile
} conv_args;

static lw_pack_args pack_args(const lw_call *call) {
  const lw_window w = lw_window_of(call->plan->record);
  const uint32_t *in = call->input->dims;
  return (lw_pack_args){.input = call->from->data,
                        .input_stride = call->from->plane,
                        .c4 = call->plan->conv.c4,
                        .height = in[2],
                        .width = in[3],
                        .kernel_h = w.kernel_h,
                        .kernel_w = w.kernel_w,
                        .stride_h = w.stride_h,
                        .stride_w = w.stride_w,
                        .dilation_h = w.dilation_h,
                        .dilation_w = w.dilation_w,
                        .pad_top = w.pad_top,
                        .pad_left = w.pad_left,
                        .output_width = call->output->rank == 2 ? 1 : call->output->dims[3],
                        .zero_point = (uint8_t)call->input->zero_point,
                        .tile = call->model->scratch};
}

lw_gemm_args lw_gemm_args_of(const lw_call *call) {
  const lw_op_plan *plan = call->plan;
  const uint32_t *attributes = plan->record->attributes;
  return (lw_gemm_args){.k4 = plan->conv.k4,
                        .weights = (const int8_t *)plan->data + plan->conv.weights,
                        .index = plan->index,
                        .row_start = plan->row_start,
                        .order = plan->order,
                        .pairs = plan->pairs,
                        .bias = (const int32_t *)(const void *)(plan->data + plan->conv.bias),
                        .scale = (const float *)(const void *)(plan->data + plan->conv.scale),
                        .requant = {(int32_t)call->output->zero_point, (int32_t)attributes[LW_CONV_CLAMP_MIN],
                                    (int32_t)attributes[LW_CONV_CLAMP_MAX]},
                        .block_rows = plan->conv.block_rows,
                        .channels = plan->conv.channels};
}

static uint32_t quads_per_row(const lw_call *call) { return call->plan->conv.block_rows > LW_QUAD ? 2 : 1; }
static uint32_t output_quads(const lw_call *call) { return (uint32_t)lw_ceil_div(call->plan->conv.channels, LW_QUAD); }

// Output quads of piece `chunk`, cut where a row of blocks begins.
static void cut_quads(const lw_call *call, uint32_t chunk, lw_gemm_args *args) {
  const uint32_t unit = quads_per_row(call), quads = output_quads(call);
  const uint32_t units = (uint32_t)lw_ceil_div(quads, unit);
  const uint32_t end = lw_part_begin(units, chunk + 1, call->chunks) * unit;
  args->quad_begin = lw_part_begin(units, chunk, call->chunks) * unit;
  args->quad_end = end < quads ? end : quads;
}

static void gemv_task(void *argument, uint32_t part, uint32_t worker) {
  const lw_call *call = argument;
  lw_gemm_args args = ((const conv_args *)call->args)->gemm;
  args.tile = call->plan->pack == NULL ? call->from->data : call->model->scratch;  // packed once, by the first worker
  args.tile_stride = LW_QUAD;
  args.pixels = 1;
  args.output_stride = LW_QUAD;
  args.output_f32_stride = 1;
  if (call->output->dtype == LW_DTYPE_F32)
    args.output_f32 = (float *)(void *)call->to->data;
  else
    args.output = call->to->data;
  cut_quads(call, part, &args);
  call->plan->kernel->function(&args);
  (void)worker;
}

static void gemm_task(void *argument, uint32_t part, uint32_t worker) {
  const lw_call *call = argument;
  const uint32_t tile = call->plan->kernel->tile;
  const uint32_t pixels = call->output->dims[2] * call->output->dims[3];
  const uint32_t first = part / call->chunks * tile;
  const uint32_t here = pixels - first < tile ? pixels - first : tile;
  const conv_args *all = call->args;
  lw_gemm_args args = all->gemm;
  args.pixels = here;
  if (call->plan->pack == NULL) {
    args.tile = call->from->data + (size_t)first * LW_QUAD;
    args.tile_stride = call->from->plane;
  } else {
    lw_pack_args pack = all->pack;
    pack.tile += worker * call->model->scratch_stride;
    pack.pixel_begin = first;
    pack.pixels = here;
    pack.tile_stride = lw_ceil_div(here, LW_TILE_PIXELS) * LW_LINE;
    call->plan->pack->function(&pack);
    args.tile = pack.tile;
    args.tile_stride = pack.tile_stride;
  }
  if (call->output->dtype == LW_DTYPE_F32) {
    args.output_f32 = (float *)(void *)call->to->data + first;
    args.output_f32_stride = pixels;
  } else {
    args.output = call->to->data + (size_t)first * LW_QUAD;
    args.output_stride = call->to->plane;
  }
  cut_quads(call, part % call->chunks, &args);
  call->plan->kernel->function(&args);
}

void lw_run_conv(lw_call *call) {
  const uint32_t rows = (uint32_t)lw_ceil_div(output_quads(call), quads_per_row(call));
  const conv_args args = {lw_gemm_args_of(call), pack_args(call)};
  call->args = &args;
  if (call->plan->kernel->family == LW_FAMILY_GEMV) {
    if (call->plan->pack != NULL) {
      lw_pack_args pack = args.pack;
      pack.pixels = 1;
      pack.tile_stride = LW_QUAD;
      call->plan->pack->function(&pack);
    }
    call->chunks = lw_cuts(call, 1, 1, rows);
    lw_split(call, gemv_task, call->chunks);
    return;
  }
  const uint32_t pixels = call->output->dims[2] * call->output->dims[3];
  const uint32_t tiles = (uint32_t)lw_ceil_div(pixels, call->plan->kernel->tile);
  const uint32_t per_worker = call->plan->pack == NULL ? PARTS_PER_WORKER : PACKED_PARTS_PER_WORKER;
  call->chunks = lw_cuts(call, per_worker, tiles, rows);
  lw_split(call, gemm_task, tiles * call->chunks);
}
