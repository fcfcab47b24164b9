// Softmax with an exponential of our own: only IEEE add, multiply and divide, in a fixed order.
#include "lw_reference.h"

static float float_from_bits(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}

float lw_exp(float x) {
  if (x < -87.0f) return 0.0f;
  if (x != x) return x;
  const int32_t n = lw_round(x * 0x1.715476p+0f);  // x = n*ln2 + r
  const float r = (x - (float)n * 0x1.62e400p-1f) - (float)n * 0x1.7f7d1cp-20f;
  float p = 0x1.6c16c2p-10f;
  p = p * r + 0x1.111112p-7f;
  p = p * r + 0x1.555556p-5f;
  p = p * r + 0x1.555556p-3f;
  p = p * r + 0x1p-1f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * float_from_bits((uint32_t)(n + 127) << 23);  // 2^n
}

static float row_max(const float *x, size_t n) {
  float max = x[0];
  for (size_t i = 1; i < n; i++)
    if (x[i] > max) max = x[i];
  return max;
}

static void softmax_row(const float *x, size_t n, float *y) {
  const float max = row_max(x, n);
  float p[8] = {0};
  for (size_t i = 0; i < n; i++) {
    y[i] = lw_exp(x[i] - max);
    p[i % 8] += y[i];
  }
  const float sum = ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]));
  const float canonical_nan = float_from_bits(0x7fc00000u);  // the sign of a computed NaN differs between machines
  for (size_t i = 0; i < n; i++) y[i] = sum != sum ? canonical_nan : y[i] / sum;
}

void lw_softmax_rows(const float *input, size_t rows, size_t n, float *output) {
  for (size_t row = 0; row < rows; row++) softmax_row(input + row * n, n, output + row * n);
}
