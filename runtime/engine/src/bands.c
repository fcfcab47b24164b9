// A depthwise convolution and the 1x1 convolution that alone reads it, run together, a band of pixels at a time: what
// lies between them stays in the cache of the core that wrote it, and of what lies before a core reads from another
// only the rows at its bands' edges.
//
//   rows of the input      in the worker's scratch           pixels of the output
//   row_begin - pad ...    [C/4][row_begin .. row_end][4]    begin .. end
//                     -> depthwise ->                   -> 1x1 ->
//
// A band begins at a multiple of sixteen pixels, as tiles do, and so in the middle of a row where rows are no such
// multiple: then two bands compute that row.
#include "lw_internal.h"

#define BAND_BYTES (UINT64_C(256) << 10)  // of what lies between: the share of a second-level cache
#define MOST_BYTES (UINT64_C(384) << 10)  // with the rows at a band's edges
#define WHOLE_ROWS_UNITS 8u               // so many units of whole rows make a band even enough
#define LEAST_PIXELS 96u                  // of one band of several, and
#define LEAST_ROWS 4u                     // rows: smaller ones compute too many rows twice
#define SPARE_ROWS 12u                    // of each of two bands for a worker, so that a slow one can leave the second

// Whether `op` is a depthwise convolution whose result only the next operator reads, a 1x1 convolution to bytes.
static int feeds_pointwise(const lw_file *file, const lw_arena_plan *arena, uint32_t op) {
  const lw_op_record *depthwise = &file->ops[op], *next = depthwise + 1;
  if (depthwise->kind != LW_OP_DEPTHWISE || op + 1 == file->op_count) return 0;
  const uint32_t between = depthwise->output;
  if (next->kind != LW_OP_CONV || next->inputs[0] != between) return 0;
  if (between >= arena->count || arena->lives[between].last != op + 1) return 0;
  return lw_conv_is_direct(file, next) && !lw_conv_is_gemv(file, next) &&
         file->tensors[next->output].dtype == LW_DTYPE_U7;
}

// Pixels of the fewest whole rows, an even number because kernels like pairs, that are a multiple of sixteen pixels.
static uint64_t whole_rows_pixels(uint64_t width) {
  uint64_t rows = 2;
  while (rows * width % LW_TILE_PIXELS != 0) rows *= 2;
  return rows * width;
}

// Of `pixels` pixels of `bytes` bytes; 0 if bands would be too small.
static uint64_t band_count(uint64_t pixels, uint64_t width, uint64_t bytes, uint32_t workers) {
  const uint64_t wanted = (bytes + BAND_BYTES - 1) / BAND_BYTES, count = (wanted + workers - 1) / workers * workers;
  if (count == 1) return 1;
  const uint64_t least = LEAST_ROWS * width;
  if (pixels / count < (least > LEAST_PIXELS ? least : LEAST_PIXELS)) return 0;
  return count == workers && pixels / count >= 2 * SPARE_ROWS * width ? 2 * count : count;
}

lw_bands lw_bands_of(const lw_file *file, const lw_arena_plan *arena, uint32_t op, uint32_t workers) {
  const lw_bands none = {0, 0, 0};
  if (!LW_HAS_BANDS || !feeds_pointwise(file, arena, op)) return none;
  const lw_tensor_record *between = &file->tensors[file->ops[op].output];
  const uint64_t height = between->dims[2], width = between->dims[3], pixels = height * width;
  const uint64_t pixel_bytes = lw_ceil_div(between->dims[1], LW_QUAD) * LW_QUAD;
  const uint64_t count = band_count(pixels, width, pixels * pixel_bytes, workers);
  if (count == 0) return none;
  const uint64_t whole = whole_rows_pixels(width);
  const uint64_t unit = pixels / count < WHOLE_ROWS_UNITS * whole ? LW_TILE_PIXELS : whole;
  const uint64_t rows = (pixels / unit / count + 1) * unit / width + 2;  // that a band touches, at most
  const uint64_t room = (rows < height ? rows : height) * width + LW_TILE_PIXELS;
  if (room > MOST_BYTES / pixel_bytes) return none;
  return (lw_bands){(uint32_t)count, (uint32_t)unit, lw_plane_bytes((size_t)room)};
}

// What all bands have in common.
typedef struct {
  const lw_call *depthwise;
  lw_depthwise_args window;  // of the first quad, without its rows
  lw_gemm_args gemm;         // without the tile
} band_args;

// -> output: [C/4][row_end - row_begin][width][4], planes `plane` bytes apart
static void depthwise_rows(const lw_call *call, const lw_depthwise_args *window, uint8_t *output, size_t plane) {
  const uint32_t quads = lw_call_quads(call->output);
  for (uint32_t quad = 0; quad < quads; quad++, output += plane) {
    lw_depthwise_args args = *window;
    lw_depthwise_to_quad(call, &args, quad);
    args.output = output;
    call->plan->kernel->function(&args);
  }
}

static void band_task(void *argument, uint32_t part, uint32_t worker) {
  const lw_call *call = argument;
  const band_args *all = call->args;
  const lw_bands *bands = &all->depthwise->plan->bands;
  const uint32_t width = call->output->dims[3], pixels = call->output->dims[2] * width;
  const uint32_t units = (uint32_t)lw_ceil_div(pixels, bands->unit), tile = call->plan->kernel->tile;
  const uint32_t begin = lw_part_begin(units, part, bands->count) * bands->unit;
  const uint32_t behind = lw_part_begin(units, part + 1, bands->count) * bands->unit;
  const uint32_t end = behind < pixels ? behind : pixels;

  lw_depthwise_args window = all->window;
  window.scratch += worker * call->model->scratch_stride;
  window.row_begin = begin / width;
  window.row_end = (uint32_t)lw_ceil_div(end, width);
  uint8_t *between = window.scratch + window.scratch_bytes;
  const uint32_t origin = window.row_begin * width / LW_TILE_PIXELS * LW_TILE_PIXELS;  // its first pixel, of the plane
  depthwise_rows(all->depthwise, &window, between + (size_t)(window.row_begin * width - origin) * LW_QUAD,
                 bands->plane);

  lw_gemm_args gemm = all->gemm;
  gemm.tile_stride = bands->plane;
  for (uint32_t pixel = begin; pixel < end; pixel += tile) {
    gemm.pixels = end - pixel < tile ? end - pixel : tile;
    gemm.tile = between + (size_t)(pixel - origin) * LW_QUAD;
    gemm.output = call->to->data + (size_t)pixel * LW_QUAD;
    call->plan->kernel->function(&gemm);
  }
}

void lw_run_bands(lw_call *depthwise, lw_call *pointwise) {
  band_args args = {depthwise, lw_depthwise_args_of(depthwise), lw_gemm_args_of(pointwise)};
  args.gemm.quad_end = (uint32_t)lw_ceil_div(args.gemm.channels, LW_QUAD);
  args.gemm.output_stride = pointwise->to->plane;
  pointwise->args = &args;
  lw_split(pointwise, band_task, depthwise->plan->bands.count);
}
