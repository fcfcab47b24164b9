// Threads for machines with an operating system. The engine itself starts none: hand a pool to lw_options.
#ifndef LW_HOSTED_H
#define LW_HOSTED_H

#include <stdint.h>

#include "lacewing.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lw_pool lw_pool;

#define LW_POOL_MAX 256u

// `threads` counts the caller, 1 .. LW_POOL_MAX. NULL when memory or threads run out.
lw_pool *lw_pool_create(uint32_t threads);
// An lw_parallel: context is the pool. Worker 0 is the calling thread; one call at a time per pool.
void lw_pool_parallel(void *pool, lw_task task, void *argument, uint32_t parts);
void lw_pool_destroy(lw_pool *pool);

#define LW_MAX_CORES 1024u
#define LW_FULL_CAPACITY 1024u

// Threads worth using: the cores that this process may run on, and of a mixed processor (big.LITTLE) the fast ones.
uint32_t lw_performance_cores(void);

// Relative speed of each core as the system tells it, LW_FULL_CAPACITY for the fastest; 0 for cores that this process
// may not use. Writes at most `count`; returns how many cores that are, up to the last usable one. `folder` is where
// Linux keeps its cores, NULL for the usual place.
uint32_t lw_core_capacities(const char *folder, uint32_t *capacities /* [count] */, uint32_t count);
// How many of them have at least half the best one's capacity.
uint32_t lw_count_fast_cores(const uint32_t *capacities /* [count] */, uint32_t count);

#ifdef __cplusplus
}
#endif
#endif
