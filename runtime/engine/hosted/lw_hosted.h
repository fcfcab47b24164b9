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

// Threads worth using: the processors that this process may run on, and of a mixed processor only the fast ones.
uint32_t lw_performance_cores(void);

#ifdef __cplusplus
}
#endif
#endif
