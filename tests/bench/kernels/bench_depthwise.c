// How fast the depthwise kernels of the kernel list are, on the shapes of MobileNet and EfficientNet.
//
//   gcc -O3 -std=gnu11 -ffp-contract=off -Iruntime/engine/include -Iruntime/engine/src -o build/bench_depthwise
//       tests/bench/kernels/bench_depthwise.c kernels_x86/depthwise_*.c runtime/engine/reference/depthwise.c
//   build/bench_depthwise
//
// One call computes 16 planes of four channels; printed is the best of many rounds. Weights are random; "small" ones
// fit 16-bit sums, "large" ones do not.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lw_kernel.h"

enum { PLANES = 16, ROUNDS = 200 };

typedef struct {
  lw_tier tier;
  uint32_t kernel, stride;
  lw_kernel_function function;
  const char *name;
} candidate;

#define ROW_DEPTHWISE(TIER, kernel, stride, name) {LW_TIER_##TIER, kernel, stride, lw_##name, #name},
#define ROW_GEMM(...)
#define ROW_GEMV(...)
#define ROW_PACK(...)
#define ROW_ADD(...)
#define ROW_MUL(...)
#define ROW_TABLE(...)
#define ROW_QUANTIZE(...)
#define ROW_AVG_POOL(...)
#define ROW_MAX_POOL(...)
#define X(family, TIER, block_rows, sparse, kernel, stride, tile, name) void lw_##name(const void *args);
#include "kernels.def"
#undef X
#define X(family, TIER, block_rows, sparse, kernel, stride, tile, name) ROW_##family(TIER, kernel, stride, name)
static const candidate candidates[] = {
#include "kernels.def"
};

static const struct {
  uint32_t size, kernel, stride;
} shapes[] = {{112, 3, 1}, {56, 3, 1}, {28, 3, 1}, {14, 3, 1}, {7, 3, 1}, {112, 3, 2}, {56, 3, 2}, {28, 3, 2},
              {14, 3, 2},  {56, 5, 1}, {28, 5, 1}, {14, 5, 1}, {7, 5, 1}, {56, 5, 2},  {28, 5, 2}, {14, 5, 2}};

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Clock rate in GHz, from a chain of dependent one-cycle additions.
static double gigahertz(void) {
  double best = 1e9;
  for (int round = 0; round < 20; round++) {
    const double start = seconds();
    uint64_t x = 1;
    for (int i = 0; i < 100000; i++) __asm__ volatile("add %0, %0\n add %0, %0\n add %0, %0\n add %0, %0" : "+r"(x));
    const double t = seconds() - start;
    if (t < best) best = t;
  }
  return 400000e-9 / best;
}

static int runs(lw_tier tier) {
  if (tier == LW_TIER_AVX2) return __builtin_cpu_supports("avx2") != 0;
  if (tier == LW_TIER_AVXVNNI) return __builtin_cpu_supports("avxvnni") != 0;
  if (tier == LW_TIER_AVX512VNNI)
    return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl") != 0;
  return tier == LW_TIER_SCALAR;
}

static void *aligned(size_t bytes) {
  void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (!p) abort();
  return p;
}

// Nanoseconds of PLANES planes, best round; the output of the last plane stays in a->output.
static double measure(lw_depthwise_args *a, lw_kernel_function function, uint8_t *input, uint8_t *output) {
  const size_t in_plane = lw_plane_bytes((size_t)a->height * a->width);
  const size_t out_plane = lw_plane_bytes((size_t)a->output_height * a->output_width);
  double best = 1e9;
  for (int round = 0; round < ROUNDS; round++) {
    const double start = seconds();
    for (int p = 0; p < PLANES; p++) {
      a->input = input + p * in_plane;
      a->output = output + p * out_plane;
      function(a);
    }
    const double t = seconds() - start;
    if (t < best) best = t;
  }
  return best * 1e9;
}

static void bench(uint32_t size, uint32_t kernel, uint32_t stride, int large, double clock) {
  const uint32_t pad = kernel / 2, out = (size + 2 * pad - kernel) / stride + 1;
  int8_t weights[25 * 4];
  const int32_t bias[4] = {1000, -500, 20, 3000};
  const float scale[4] = {0.011f, 0.007f, 0.004f, 0.009f};
  for (int i = 0; i < 100; i++) weights[i] = (int8_t)(large ? rand() % 255 - 127 : rand() % 41 - 20);
  if (large) memset(weights, 127, sizeof weights);
  const size_t in_bytes = PLANES * lw_plane_bytes((size_t)size * size);
  const size_t out_bytes = PLANES * lw_plane_bytes((size_t)out * out);
  uint8_t *input = aligned(in_bytes), *output = aligned(out_bytes), *expected = aligned(out_bytes);
  for (size_t i = 0; i < in_bytes; i++) input[i] = (uint8_t)(rand() & 127);
  lw_depthwise_args a = {.height = size,
                         .width = size,
                         .output_height = out,
                         .output_width = out,
                         .kernel_h = kernel,
                         .kernel_w = kernel,
                         .stride_h = stride,
                         .stride_w = stride,
                         .dilation_h = 1,
                         .dilation_w = 1,
                         .pad_top = pad,
                         .pad_left = pad,
                         .weights = weights,
                         .bias = bias,
                         .scale = scale,
                         .requant = {3, 3, 127},
                         .zero_point = 5,
                         .row_end = out,
                         .scratch_bytes = LW_DEPTHWISE_SCRATCH(size, kernel)};
  a.scratch = aligned(a.scratch_bytes);
  memset(expected, 0, out_bytes);
  for (size_t i = sizeof candidates / sizeof candidates[0]; i-- > 0;) {
    const candidate *c = &candidates[i];
    if (!runs(c->tier) || (c->kernel && c->kernel != kernel) || (c->stride && c->stride != stride)) continue;
    memset(output, 0, out_bytes);
    const double ns = measure(&a, c->function, input, output);
    const double outputs = (double)PLANES * 4 * out * out;
    if (c->tier == LW_TIER_SCALAR) memcpy(expected, output, out_bytes);
    int same = 1;
    for (int p = 0; p < PLANES; p++)
      same &= !memcmp(output + p * lw_plane_bytes((size_t)out * out), expected + p * lw_plane_bytes((size_t)out * out),
                      (size_t)out * out * 4);
    printf("%3u x%-3u %ux%u stride %u %s %-32s %9.1f ns/plane %6.2f outputs/cycle %6.2f MAC/cycle%s\n", size, size,
           kernel, kernel, stride, large ? "large" : "small", c->name, ns / PLANES, outputs / ns / clock,
           outputs * kernel * kernel / ns / clock, same ? "" : "  WRONG");
  }
  free(input);
  free(output);
  free(expected);
  free(a.scratch);
}

int main(void) {
  const double clock = gigahertz();
  printf("clock %.2f GHz\n", clock);
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
    for (int large = 0; large < 2; large++) bench(shapes[i].size, shapes[i].kernel, shapes[i].stride, large, clock);
  return 0;
}
