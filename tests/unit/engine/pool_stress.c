// Calls of every size on pools of every size, one after the other without a pause, so that a worker comes late to some
// and is still looking for parts when the next begins. Each part must be done once, with its own call's argument.
// tests/sanitize.sh runs it under ThreadSanitizer.
#include <stdio.h>
#include <string.h>

#include "lw_hosted.h"

#define THREADS 5u
#define CALLS 20000u
#define PARTS 61u

static unsigned sums[PARTS];  // of each part; written by whoever does it, read when the call is over

static void add(void *argument, uint32_t part, uint32_t worker) {
  sums[part] += *(const unsigned *)argument;
  (void)worker;
}

static int check(lw_pool *pool, uint32_t threads, uint32_t call) {
  unsigned value = call + 1;
  const uint32_t parts = 1 + call % PARTS;
  memset(sums, 0, sizeof sums);
  lw_pool_parallel(pool, add, &value, parts);
  for (uint32_t part = 0; part < PARTS; part++) {
    const unsigned wanted = part < parts ? value : 0;
    if (sums[part] == wanted) continue;
    (void)printf("%u threads, call %u of %u parts: part %u gave %u, not %u\n", threads, call, parts, part, sums[part],
                 wanted);
    return 1;
  }
  return 0;
}

int main(void) {
  for (uint32_t threads = 1; threads <= THREADS; threads++) {
    lw_pool *pool = lw_pool_create(threads);
    if (pool == NULL) return 1;
    for (uint32_t call = 0; call < CALLS; call++)
      if (check(pool, threads, call) != 0) return 1;
    lw_pool_destroy(pool);
  }
  return 0;
}
