// Times the gemm, gemv and pack kernels of this machine on the layers that matter, against nothing but themselves:
// one line per layer and kernel. Every timed result is first compared with the scalar reference, byte by byte.
//   bench_gemm [text that the layer's or kernel's name contains]
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lw_kernel.h"

#define X(family, tier, block_rows, sparse, kernel, stride, tile, name) void lw_##name(const void *args);
#include "kernels.def"
#undef X

static const lw_kernel kernels[] = {
#define X(family, tier, block_rows, sparse, kernel, stride, tile, name) \
  {LW_FAMILY_##family, LW_TIER_##tier, block_rows, sparse, kernel, stride, tile, lw_##name, #name},
#include "kernels.def"
#undef X
};
#define KERNEL_COUNT (sizeof kernels / sizeof kernels[0])

typedef struct {
  const char *name;
  uint32_t channels_in, channels_out, size, kernel;  // size: height = width, "same" padding, stride 1
} layer;

static const layer layers[] = {
    {"pointwise 512->512 14x14", 512, 512, 14, 1},  {"pointwise 64->128 56x56", 64, 128, 56, 1},
    {"pointwise 1024->1024 7x7", 1024, 1024, 7, 1}, {"pointwise 24->144 56x56", 24, 144, 56, 1},
    {"conv3x3 64->64 56x56", 64, 64, 56, 3},        {"fc 1280->1000", 1280, 1000, 1, 1},
};
static const int sparsities[] = {0, 30, 50, 75, 90};  // percent

// A layer with weights, ready for any kernel of one block height.
typedef struct {
  layer l;
  uint32_t k4, c4, rows, block_rows, pixels;
  int sparse;
  uint8_t *input, *packed;  // quads; [k4][LW_MAX_TILE][4]
  int8_t *weights;
  uint16_t *index;
  uint32_t *row_start;
  uint16_t *order, *pairs;
  int32_t *bias;
  float *scale;
  uint8_t *output;
  size_t plane_in, plane_out, output_bytes;
  uint64_t kept_macs;
  double paired;  // fraction of the kept blocks
} problem;

static uint32_t random_state = 1;
static uint32_t random_bits(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state;
}
static int32_t random_weight(void) {  // bell-shaped, as trained weights are
  int32_t sum = 0;
  for (int i = 0; i < 6; i++) sum += (int32_t)(random_bits() % 61u) - 30;
  return sum > 127 ? 127 : sum < -127 ? -127 : sum;
}

static void *allocate(size_t bytes) {
  void *p = aligned_alloc(64, (bytes + 4095) / 4096 * 4096);
  if (!p) abort();
  memset(p, 0, (bytes + 4095) / 4096 * 4096);
  return p;
}

// What plan.c proves: the positive and the negative products of two neighbouring blocks each fit int16.
static int pair_fits(const int8_t *w0, const int8_t *w1, uint32_t block_rows) {
  for (uint32_t i = 0; i < block_rows * LW_QUAD; i += 2) {
    const int w[4] = {w0[i], w0[i + 1], w1[i], w1[i + 1]};
    int positive = 0, negative = 0;
    for (int j = 0; j < 4; j++) *(w[j] > 0 ? &positive : &negative) += abs(w[j]);
    if (positive > 258 || negative > 258) return 0;
  }
  return 1;
}

static void order_row(problem *p, uint32_t row, uint32_t first, uint32_t end) {
  const size_t block_bytes = (size_t)p->block_rows * LW_QUAD;
  uint16_t *pair = p->order + first, *alone = p->order + end;
  for (uint32_t b = first; b < end; b++) {
    const int8_t *w = p->weights + b * block_bytes;
    if (b + 1 < end && pair_fits(w, w + block_bytes, p->block_rows))
      *pair++ = (uint16_t)(b++ - first);
    else
      *--alone = (uint16_t)(b - first);
  }
  p->pairs[row] = (uint16_t)(pair - (p->order + first));
}

static problem make(layer l, uint32_t block_rows, int percent) {
  problem p = {.l = l, .block_rows = block_rows, .sparse = percent > 0};
  p.c4 = l.channels_in / LW_QUAD;
  p.k4 = p.c4 * l.kernel * l.kernel;
  p.rows = (l.channels_out + block_rows - 1) / block_rows;
  p.pixels = l.size * l.size;
  p.plane_in = p.plane_out = lw_plane_bytes(p.pixels);
  p.output_bytes = p.plane_out * ((l.channels_out + 3) / 4) + 64;
  p.input = allocate(p.plane_in * p.c4 + 64);
  for (size_t i = 0; i < p.plane_in * p.c4; i++) p.input[i] = (uint8_t)(random_bits() >> 9 & 127);
  p.packed = allocate((size_t)p.k4 * LW_MAX_TILE * LW_QUAD);
  p.weights = allocate((size_t)p.rows * block_rows * p.k4 * LW_QUAD);
  p.index = allocate((size_t)p.rows * p.k4 * sizeof *p.index);
  p.row_start = allocate((p.rows + 1) * sizeof *p.row_start);
  p.order = allocate((size_t)p.rows * p.k4 * sizeof *p.order);
  p.pairs = allocate(p.rows * sizeof *p.pairs);
  p.bias = allocate((size_t)p.rows * block_rows * sizeof *p.bias);
  p.scale = allocate((size_t)p.rows * block_rows * sizeof *p.scale);
  p.output = allocate(p.output_bytes);
  uint32_t kept = 0;
  for (uint32_t r = 0; r < p.rows; r++) {
    const uint32_t first = kept;
    for (uint32_t k = 0; k < p.k4; k++) {
      if (p.sparse && random_bits() % 100 < (uint32_t)percent) continue;
      for (uint32_t i = 0; i < block_rows * LW_QUAD; i++)
        p.weights[(size_t)kept * block_rows * LW_QUAD + i] = (int8_t)random_weight();
      p.index[kept++] = (uint16_t)k;
    }
    p.row_start[r + 1] = kept;
    order_row(&p, r, first, kept);
    p.paired += 2.0 * p.pairs[r];
  }
  p.paired /= kept;
  p.kept_macs = (uint64_t)kept * block_rows * LW_QUAD * p.pixels;
  for (uint32_t c = 0; c < p.rows * block_rows; c++) {
    p.bias[c] = (int32_t)(random_bits() % 20001u) - 10000;
    p.scale[c] = 1e-3f * (float)(1 + random_bits() % 7u);
  }
  return p;
}

static void discard(problem *p) {
  void *all[] = {p->input, p->packed, p->weights, p->index, p->row_start,
                 p->order, p->pairs,  p->bias,    p->scale, p->output};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

static lw_gemm_args gemm_args(const problem *p) {
  return (lw_gemm_args){.k4 = p->k4,
                        .weights = p->weights,
                        .index = p->sparse ? p->index : NULL,
                        .row_start = p->row_start,
                        .order = p->order,
                        .pairs = p->pairs,
                        .bias = p->bias,
                        .scale = p->scale,
                        .requant = {60, 3, 120},
                        .block_rows = p->block_rows,
                        .channels = p->l.channels_out,
                        .quad_begin = 0,
                        .quad_end = (p->l.channels_out + 3) / 4,
                        .output_stride = p->plane_out};
}

static void run_layer(const problem *p, const lw_kernel *kernel, lw_kernel_function pack) {
  lw_gemm_args a = gemm_args(p);
  const uint32_t tile = p->pixels == 1 ? 1 : kernel->tile;
  for (uint32_t begin = 0; begin < p->pixels; begin += tile) {
    a.pixels = p->pixels - begin < tile ? p->pixels - begin : tile;
    a.tile = p->input + (size_t)begin * LW_QUAD;
    a.tile_stride = p->plane_in;
    if (pack) {
      a.tile = p->packed;
      a.tile_stride = lw_ceil_div(a.pixels, LW_TILE_PIXELS) * LW_LINE;
      const lw_pack_args in = {.input = p->input,
                               .input_stride = p->plane_in,
                               .c4 = p->c4,
                               .height = p->l.size,
                               .width = p->l.size,
                               .kernel_h = p->l.kernel,
                               .kernel_w = p->l.kernel,
                               .stride_h = 1,
                               .stride_w = 1,
                               .dilation_h = 1,
                               .dilation_w = 1,
                               .pad_top = p->l.kernel / 2,
                               .pad_left = p->l.kernel / 2,
                               .output_width = p->l.size,
                               .pixel_begin = begin,
                               .pixels = a.pixels,
                               .zero_point = 64,
                               .tile = p->packed,
                               .tile_stride = a.tile_stride};
      pack(&in);
    }
    a.output = p->output + (size_t)begin * LW_QUAD;
    kernel->function(&a);
  }
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#ifdef __wasm__
static double clock_hz(void) { return 1e9; }  // no way to know: MAC per nanosecond instead
#else
static double clock_hz(void) {  // a chain of dependent additions takes one cycle each
  double best = 1e9;
  for (int round = 0; round < 2000; round++) {
    uint64_t x = 1;
    const double start = seconds();
    for (int i = 0; i < 1000; i++)
      __asm__ volatile("add $1, %0\nadd $1, %0\nadd $1, %0\nadd $1, %0\nadd $1, %0\nadd $1, %0\nadd $1, %0\nadd $1, %0"
                       : "+r"(x));
    const double took = seconds() - start;
    if (took < best) best = took;
  }
  return 8000 / best;
}
#endif

static double best_time(const problem *p, const lw_kernel *kernel, lw_kernel_function pack) {
  double best = 1e9;
  const double stop = seconds() + 0.15;
  do {
    const double start = seconds();
    run_layer(p, kernel, pack);
    const double took = seconds() - start;
    if (took < best) best = took;
  } while (seconds() < stop);
  return best;
}

static int available(lw_tier tier) {
#ifdef LW_EMULATE_SIMD
  return tier != LW_TIER_AUTO;
#else
  switch (tier) {
    case LW_TIER_SCALAR:
      return 1;
#ifdef __wasm__
    case LW_TIER_SIMD128:
    case LW_TIER_RELAXED:
    case LW_TIER_RELAXED_DOT:
      return 1;
#else
    case LW_TIER_AVX2:
      return __builtin_cpu_supports("avx2") != 0;
    case LW_TIER_AVX512VNNI:
      return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw");
#endif
    default:
      return 0;
  }
#endif
}

static const lw_kernel *first_kernel(lw_family family, lw_tier tier) {
  for (size_t i = 0; i < KERNEL_COUNT; i++)
    if (kernels[i].family == family && kernels[i].tier == tier) return &kernels[i];
  return NULL;
}

static int same_pixels(const problem *p, const uint8_t *wanted) {
  for (uint32_t q = 0; q < (p->l.channels_out + 3) / 4; q++)
    if (memcmp(p->output + q * p->plane_out, wanted + q * p->plane_out, (size_t)p->pixels * LW_QUAD)) return 0;
  return 1;
}

static int bench(const problem *p, int percent, const char *filter, double hz) {
  int wrong = 0;
  const lw_family family = p->pixels == 1 ? LW_FAMILY_GEMV : LW_FAMILY_GEMM;
  uint8_t *wanted = NULL;
  for (size_t i = 0; i < KERNEL_COUNT; i++) {
    const lw_kernel *k = &kernels[i];
    if (k->family != family || k->tier == LW_TIER_SCALAR || !available(k->tier)) continue;
    if (k->block_rows && k->block_rows != p->block_rows) continue;
    if (k->sparse && (k->sparse > 0) != p->sparse) continue;
    if (filter && !strstr(k->name, filter) && !strstr(p->l.name, filter)) continue;
    if (!wanted) {
      const lw_kernel *scalar_pack = first_kernel(LW_FAMILY_PACK, LW_TIER_SCALAR);
      run_layer(p, first_kernel(family, LW_TIER_SCALAR), p->l.kernel > 1 ? scalar_pack->function : NULL);
      wanted = allocate(p->output_bytes);
      memcpy(wanted, p->output, p->output_bytes);
    }
    const lw_kernel *pack = first_kernel(LW_FAMILY_PACK, k->tier);
    if (!pack) pack = first_kernel(LW_FAMILY_PACK, LW_TIER_SCALAR);
    memset(p->output, 0, p->output_bytes);
    const double best = best_time(p, k, p->l.kernel > 1 ? pack->function : NULL);
    const int same = same_pixels(p, wanted);
    wrong += !same;
    const double macs = (double)p->l.channels_in * p->l.channels_out * p->l.kernel * p->l.kernel * p->pixels;
    printf("%-26s %2ux4 %2d%%  %-28s %9.1f us %7.1f GMAC/s dense-equivalent %6.2f MAC/cycle kept, %3.0f%% paired%s\n",
           p->l.name, p->block_rows, percent, k->name, best * 1e6, macs / best * 1e-9, (double)p->kept_macs / best / hz,
           100 * p->paired, same ? "" : "  WRONG");
    fflush(stdout);
  }
  free(wanted);
  return wrong;
}

int main(int argc, char **argv) {
  const double hz = clock_hz();
  printf("clock %.2f GHz\n", hz * 1e-9);
  int wrong = 0;
  for (size_t l = 0; l < sizeof layers / sizeof layers[0]; l++)
    for (size_t s = 0; s < sizeof sparsities / sizeof sparsities[0]; s++)
      for (uint32_t block_rows = 1; block_rows <= 8; block_rows *= 2) {
        problem p = make(layers[l], block_rows, sparsities[s]);
        wrong += bench(&p, sparsities[s], argc > 1 ? argv[1] : NULL, hz);
        discard(&p);
      }
  return wrong != 0;
}
