// Runs kernels for a test process on another architecture. Both map the same memory at the same address, so that the
// arguments, pointers included, mean the same on both sides: a call is an index and an address, no copying.
//   kernel_server FD ADDRESS BYTES
// First lists its kernels, one per line: family tier block_rows sparse kernel stride tile name; then the tiers that the
// processor runs; then answers each call on standard input with one byte.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lw_kernel.h"

const lw_kernel *test_kernels(uint32_t *count);
int test_tier_runs(lw_tier tier);

typedef struct {
  uint64_t kernel;     // index in the table
  uint64_t arguments;  // address of the family's struct
} call;

static void list_kernels(const lw_kernel *kernels, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    const lw_kernel *k = &kernels[i];
    printf("%d %d %u %d %u %u %u %s\n", (int)k->family, (int)k->tier, k->block_rows, k->sparse, k->kernel, k->stride,
           k->tile, k->name);
  }
  printf("tiers");
  for (int tier = 0; tier < 64; tier++)
    if (test_tier_runs((lw_tier)tier)) printf(" %d", tier);
  printf("\n");
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  void *address = (void *)(uintptr_t)strtoull(argv[2], NULL, 10);
  const size_t bytes = strtoull(argv[3], NULL, 10);
  if (mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, atoi(argv[1]), 0) != address) {
    perror("mmap");
    return 1;
  }
  uint32_t count;
  const lw_kernel *kernels = test_kernels(&count);
  list_kernels(kernels, count);
  for (call c; read(STDIN_FILENO, &c, sizeof c) == (ssize_t)sizeof c && c.kernel < count;) {
    kernels[c.kernel].function((const void *)(uintptr_t)c.arguments);
    if (write(STDOUT_FILENO, "", 1) != 1) return 1;
  }
  return 0;
}
