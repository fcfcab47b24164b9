// A depthwise convolution and the 1x1 convolution that alone reads it, run together, a band of pixels at a time: what
// lies between them stays in the cache of the core that wrote it, and of what lies before a core reads from another
// only the rows at its bands' edges. Where a 1x1 convolution in front widens the image, bands of several threads
// compute that, too, so that cores exchange narrow images only: what another core has read is slow to write
// (docs/kernels.md).
//
//   narrow image     rows in the worker's scratch, twice        pixels of the output
//             -> 1x1 -> [C/4][in_begin .. in_end][4]
//                 -> depthwise -> [C/4][row_begin .. row_end][4] -> 1x1 -> begin .. end
//
// A band begins at a multiple of sixteen pixels, as tiles do, and so in the middle of a row where rows are no such
// multiple: then two bands compute that row.
#include "checked.h"
#include "lw_internal.h"

#define BAND_BYTES (UINT64_C(256) << 10)  // of what lies between: the share of a second-level cache
#define MOST_BYTES (UINT64_C(384) << 10)  // with the rows at a band's edges
#define WHOLE_ROWS_UNITS 8u               // so many units of whole rows make a band even enough
#define LEAST_PIXELS 96u                  // of one band of several, and
#define LEAST_ROWS 4u                     // rows: smaller ones compute too many rows twice
#define SPARE_ROWS 12u                    // of each of two bands for a worker, so that a slow one can leave the second
#define WIDENING 4u                       // times as many channels, at least, behind a 1x1 that bands compute, too
#define MACS_PER_BYTE 20u  // of a wide image, at most, that are computed twice to keep it in one's scratch

static int is_pointwise(const lw_file *file, const lw_op_record *op) {
  return op->kind == LW_OP_CONV && lw_conv_is_direct(file, op) && !lw_conv_is_gemv(file, op);
}

static uint64_t pixel_bytes(const lw_tensor_record *image) { return lw_ceil_div(image->dims[1], LW_QUAD) * LW_QUAD; }

// Whether `op` is a depthwise convolution whose result only the next operator reads, a 1x1 convolution to bytes.
static int feeds_pointwise(const lw_file *file, const lw_arena_plan *arena, uint32_t op) {
  const lw_op_record *depthwise = &file->ops[op], *next = depthwise + 1;
  if (depthwise->kind != LW_OP_DEPTHWISE || op + 1 == file->op_count) return 0;
  const uint32_t between = depthwise->output;
  if (next->inputs[0] != between || between >= arena->count || arena->lives[between].last != op + 1) return 0;
  return is_pointwise(file, next) && file->tensors[next->output].dtype == LW_DTYPE_U7;
}

// Pixels of the fewest whole rows, an even number because kernels like pairs, that are a multiple of sixteen pixels.
static uint64_t whole_rows_pixels(uint64_t width) {
  uint64_t rows = 2;
  while (rows * width % LW_TILE_PIXELS != 0) rows *= 2;
  return rows * width;
}

// The 1x1 convolution to bytes in front of `op` is a widening one, and only `op` reads it.
static int widens(const lw_file *file, const lw_arena_plan *arena, uint32_t op) {
  if (op == 0) return 0;
  const lw_op_record *before = &file->ops[op - 1];
  const uint32_t wide = file->ops[op].inputs[0];
  if (before->output != wide || wide >= arena->count || !is_pointwise(file, before)) return 0;
  const lw_life *life = &arena->lives[wide];
  if (life->bytes == 0 || life->last > op + 1) return 0;  // the next operator reads only what lies between
  return file->tensors[wide].dims[1] >= WIDENING * file->tensors[before->inputs[0]].dims[1];
}

// As many for each worker, of BAND_BYTES at most, `bytes` being all pixels'; two for each if both have rows to spare.
static uint64_t band_count(uint64_t pixels, uint64_t width, uint64_t bytes, uint32_t workers) {
  const uint64_t wanted = (bytes + BAND_BYTES - 1) / BAND_BYTES, count = (wanted + workers - 1) / workers * workers;
  return count == workers && count > 1 && pixels / count >= 2 * SPARE_ROWS * width ? 2 * count : count;
}

static int are_large_enough(uint64_t pixels, uint64_t width, uint64_t count) {
  const uint64_t least = LEAST_ROWS * width;
  return count == 1 || pixels / count >= (least > LEAST_PIXELS ? least : LEAST_PIXELS);
}

// What two bands both compute of the wide image is at most half of its rows, and little work for what it saves.
static int are_worth_widening(const lw_file *file, uint32_t op, uint64_t pixels, uint64_t count) {
  const lw_tensor_record *wide = &file->tensors[file->ops[op].inputs[0]];
  const lw_window w = lw_window_of(&file->ops[op]);
  const lw_conv_parts parts = lw_conv_parts_of(file, &file->ops[op - 1]);
  const uint64_t rows = (count - 1) * ((uint64_t)(w.kernel_h - 1) * w.dilation_h + 1);
  const uint64_t macs = lw_sat_mul(rows * wide->dims[3], parts.kept * parts.block_rows * LW_QUAD);
  const uint64_t most = lw_sat_mul(lw_tensor_pixels(wide) * wide->dims[1], MACS_PER_BYTE);
  return pixels / count >= LW_TILE_PIXELS && 2 * rows <= wide->dims[2] && macs <= most;
}

// Bytes of a plane in a scratch for `rows` rows that begin in the middle of a line; 0: all planes are too much for it.
static size_t room_for(uint64_t rows, const lw_tensor_record *image) {
  const uint64_t most = image->dims[2], pixels = (rows < most ? rows : most) * image->dims[3] + LW_TILE_PIXELS;
  if (pixels > MOST_BYTES / pixel_bytes(image)) return 0;
  return lw_plane_bytes((size_t)pixels);
}

static lw_bands cut(const lw_file *file, uint32_t op, uint32_t workers, int wide) {
  const lw_bands none = {0};
  const lw_tensor_record *in = &file->tensors[file->ops[op].inputs[0]], *between = &file->tensors[file->ops[op].output];
  const lw_window w = lw_window_of(&file->ops[op]);
  const uint64_t pixels = lw_tensor_pixels(between), in_pixels = lw_tensor_pixels(in), width = between->dims[3];
  const uint64_t most = wide && in_pixels > pixels ? in_pixels : pixels;
  const uint64_t count = band_count(pixels, width, most * pixel_bytes(in), workers);
  if (wide ? !are_worth_widening(file, op, pixels, count) : !are_large_enough(pixels, width, count)) return none;
  const uint64_t whole = whole_rows_pixels(width);
  const uint64_t unit = pixels / count < WHOLE_ROWS_UNITS * whole ? LW_TILE_PIXELS : whole;
  const uint64_t rows = (pixels / unit / count + 1) * unit / width + 2;  // that a band touches, at most
  const uint64_t in_rows = (rows - 1) * w.stride_h + (uint64_t)(w.kernel_h - 1) * w.dilation_h + 1;
  const lw_bands bands = {(uint32_t)count, (uint32_t)unit, room_for(rows, between), wide ? room_for(in_rows, in) : 0};
  return bands.plane == 0 || (wide && bands.wide_plane == 0) ? none : bands;
}

lw_bands lw_bands_of(const lw_file *file, const lw_arena_plan *arena, uint32_t op, uint32_t workers) {
  lw_bands bands = {0};
  if (!LW_HAS_BANDS || !feeds_pointwise(file, arena, op)) return bands;
  if (workers > 1 && widens(file, arena, op)) bands = cut(file, op, workers, 1);
  return bands.count != 0 ? bands : cut(file, op, workers, 0);
}

// What all bands have in common.
typedef struct {
  const lw_call *widening;  // NULL: what the depthwise reads is there
  const lw_call *depthwise;
  lw_gemm_args to_wide;      // without the tile and the output
  lw_depthwise_args window;  // of the first quad, without its rows
  lw_gemm_args gemm;         // as to_wide
} band_args;

// Pixels begin .. end, whose first stands at `input` and at `output`.
static void pointwise_pixels(const lw_call *call, const lw_gemm_args *all, uint32_t begin, uint32_t end,
                             const uint8_t *input, uint8_t *output) {
  const uint32_t tile = call->plan->kernel->tile;
  lw_gemm_args args = *all;
  for (uint32_t pixel = begin; pixel < end; pixel += tile) {
    const size_t at = (size_t)(pixel - begin) * LW_QUAD;
    args.pixels = end - pixel < tile ? end - pixel : tile;
    args.tile = input + at;
    args.output = output + at;
    call->plan->kernel->function(&args);
  }
}

// The rows that `window` reads -> wide: [C/4][in_begin .. in_end][width][4], from the line on in which they begin.
static void wide_rows(const band_args *all, lw_depthwise_args *window, uint8_t *wide) {
  const uint32_t first = window->row_begin * window->stride_h, last = (window->row_end - 1) * window->stride_h;
  const uint32_t behind = last + (window->kernel_h - 1) * window->dilation_h + 1, pad = window->pad_top;
  const uint32_t in_begin = first > pad ? first - pad : 0;
  const uint32_t in_end = behind - pad < window->height ? behind - pad : window->height;
  const uint32_t begin = in_begin * window->width / LW_TILE_PIXELS * LW_TILE_PIXELS, end = in_end * window->width;
  pointwise_pixels(all->widening, &all->to_wide, begin, end, all->widening->from->data + (size_t)begin * LW_QUAD, wide);
  window->input = (const uint8_t *)((uintptr_t)wide - (size_t)begin * LW_QUAD);  // where the plane would begin
}

// -> output: [C/4][row_end - row_begin][width][4], planes `plane` bytes apart; the input's are `input_plane` apart
static void depthwise_rows(const lw_call *call, const lw_depthwise_args *window, size_t input_plane, uint8_t *output,
                           size_t plane) {
  const uint32_t quads = lw_call_quads(call->output);
  for (uint32_t quad = 0; quad < quads; quad++, output += plane) {
    lw_depthwise_args args = *window;
    lw_depthwise_to_quad(&args, input_plane, quad);
    args.output = output;
    call->plan->kernel->function(&args);
  }
}

static void band_task(void *argument, uint32_t part, uint32_t worker) {
  const lw_call *call = argument;
  const band_args *all = call->args;
  const lw_bands *bands = &all->depthwise->plan->bands;
  const uint32_t width = call->output->dims[3], pixels = call->output->dims[2] * width;
  const uint32_t units = (uint32_t)lw_ceil_div(pixels, bands->unit);
  const uint32_t begin = lw_part_begin(units, part, bands->count) * bands->unit;
  const uint32_t behind = lw_part_begin(units, part + 1, bands->count) * bands->unit;
  const uint32_t end = behind < pixels ? behind : pixels;

  lw_depthwise_args window = all->window;
  window.scratch += worker * call->model->scratch_stride;
  window.row_begin = begin / width;
  window.row_end = (uint32_t)lw_ceil_div(end, width);
  uint8_t *between = window.scratch + window.scratch_bytes, *wide = between + lw_call_quads(call->input) * bands->plane;
  if (all->widening != NULL) wide_rows(all, &window, wide);
  const uint32_t origin = window.row_begin * width / LW_TILE_PIXELS * LW_TILE_PIXELS;  // its first pixel, of the plane
  depthwise_rows(all->depthwise, &window, all->widening != NULL ? bands->wide_plane : all->depthwise->from->plane,
                 between + (size_t)(window.row_begin * width - origin) * LW_QUAD, bands->plane);
  pointwise_pixels(call, &all->gemm, begin, end, between + (size_t)(begin - origin) * LW_QUAD,
                   call->to->data + (size_t)begin * LW_QUAD);
}

static lw_gemm_args pointwise_args(const lw_call *call, size_t input_plane, size_t output_plane) {
  lw_gemm_args args = lw_gemm_args_of(call);
  args.quad_end = (uint32_t)lw_ceil_div(args.channels, LW_QUAD);
  args.tile_stride = input_plane;
  args.output_stride = output_plane;
  return args;
}

void lw_run_bands(const lw_call *widening, const lw_call *depthwise, lw_call *pointwise) {
  const lw_bands *bands = &depthwise->plan->bands;
  band_args args = {.widening = widening, .depthwise = depthwise, .window = lw_depthwise_args_of(depthwise)};
  if (widening != NULL) args.to_wide = pointwise_args(widening, widening->from->plane, bands->wide_plane);
  args.gemm = pointwise_args(pointwise, bands->plane, pointwise->to->plane);
  pointwise->args = &args;
  lw_split(pointwise, band_task, bands->count);
}
