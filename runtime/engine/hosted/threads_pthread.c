// A small pool of threads. Each begins a call with a range of parts of its own, the same share of every operator, so
// that it finds in its cache some of what it wrote before; one that is done takes parts from the ends of the others'
// ranges. So a slow core does fewer, and one that is busy with other work none: a call ends when its parts are done,
// whoever did them. Operators follow each other within microseconds: a worker first spins for the next one, then
// sleeps.
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lw_hosted.h"

#define SPINS 4000u  // about 100 us of waiting, longer than the gap between two operators

#define CACHE_LINE 64

// The parts of a range that nobody has taken yet: the first in the high half, the end in the low one. Taking is one
// compare-and-swap on both. Which call they belong to need not be known: none is left when a call ends, and task and
// argument are read with a part in hand, which keeps the call from ending.
typedef struct {
  _Alignas(CACHE_LINE) atomic_ullong parts;
} pool_range;

typedef struct {
  struct lw_pool *pool;
  pthread_t thread;
  uint32_t worker;
} pool_worker;

struct lw_pool {
  pool_range ranges[LW_POOL_MAX];  // [threads]
  lw_task task;
  void *argument;
  uint32_t threads;  // the caller's among them
  atomic_int stop;
  _Alignas(CACHE_LINE) atomic_uint generation;  // of the call
  _Alignas(CACHE_LINE) atomic_uint sleepers;
  _Alignas(CACHE_LINE) atomic_uint done;  // parts
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  pool_worker workers[LW_POOL_MAX];
};

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static inline unsigned long long range_of(uint32_t begin, uint32_t end) {
  return (unsigned long long)begin << 32 | end;
}

// The owner takes from the front, others from the back. Returns 0 when none is left.
static int take(pool_range *range, int owner, uint32_t *part) {
  unsigned long long now = atomic_load_explicit(&range->parts, memory_order_relaxed), next;
  do {
    const uint32_t begin = (uint32_t)(now >> 32), end = (uint32_t)now;
    if (begin == end) return 0;
    *part = owner ? begin : end - 1;
    next = owner ? range_of(begin + 1, end) : range_of(begin, end - 1);
  } while (
      !atomic_compare_exchange_weak_explicit(&range->parts, &now, next, memory_order_acquire, memory_order_relaxed));
  return 1;
}

static void take_parts(lw_pool *pool, uint32_t worker) {
  for (uint32_t i = 0; i < pool->threads; i++) {
    pool_range *range = &pool->ranges[(worker + i) % pool->threads];
    uint32_t part, count = 0;
    for (; take(range, i == 0, &part); count++) pool->task(pool->argument, part, worker);
    if (count != 0) atomic_fetch_add_explicit(&pool->done, count, memory_order_release);
  }
}

// Returns the generation that follows `seen`.
static uint32_t await_generation(lw_pool *pool, uint32_t seen) {
  for (uint32_t i = 0; i < SPINS; i++) {
    const uint32_t now = atomic_load_explicit(&pool->generation, memory_order_acquire);
    if (now != seen) return now;
    relax();
  }
  (void)pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->sleepers, 1);
  while (atomic_load(&pool->generation) == seen) (void)pthread_cond_wait(&pool->wake, &pool->mutex);
  atomic_fetch_sub(&pool->sleepers, 1);
  (void)pthread_mutex_unlock(&pool->mutex);
  return atomic_load(&pool->generation);
}

static void *serve(void *argument) {
  const pool_worker *self = argument;
  lw_pool *pool = self->pool;
  uint32_t seen = 0;
  for (;;) {
    seen = await_generation(pool, seen);
    if (atomic_load(&pool->stop)) return NULL;
    take_parts(pool, self->worker);
  }
}

// Sequentially consistent, against a worker that counts itself a sleeper and then looks.
static void wake_all(lw_pool *pool) {
  atomic_fetch_add(&pool->generation, 1);
  if (atomic_load(&pool->sleepers) == 0) return;
  (void)pthread_mutex_lock(&pool->mutex);
  (void)pthread_cond_broadcast(&pool->wake);
  (void)pthread_mutex_unlock(&pool->mutex);
}

void lw_pool_parallel(void *context, lw_task task, void *argument, uint32_t parts) {
  lw_pool *pool = context;
  pool->task = task;
  pool->argument = argument;
  atomic_store_explicit(&pool->done, 0, memory_order_relaxed);
  for (uint32_t i = 0; i < pool->threads; i++) {
    const uint32_t begin = (uint32_t)((uint64_t)parts * i / pool->threads);
    const uint32_t end = (uint32_t)((uint64_t)parts * (i + 1) / pool->threads);
    atomic_store_explicit(&pool->ranges[i].parts, range_of(begin, end), memory_order_release);
  }
  wake_all(pool);
  take_parts(pool, 0);
  for (uint32_t spins = 0; atomic_load_explicit(&pool->done, memory_order_acquire) != parts; spins++) {
    if (spins < SPINS)
      relax();
    else
      (void)sched_yield();  // a worker has lost its core
  }
}

void lw_pool_destroy(lw_pool *pool) {
  if (pool == NULL) return;
  atomic_store(&pool->stop, 1);
  wake_all(pool);
  for (uint32_t i = 1; i < pool->threads; i++) (void)pthread_join(pool->workers[i].thread, NULL);
  (void)pthread_cond_destroy(&pool->wake);
  (void)pthread_mutex_destroy(&pool->mutex);
  free(pool);
}

lw_pool *lw_pool_create(uint32_t threads) {
  if (threads < 1 || threads > LW_POOL_MAX) return NULL;
  void *memory = NULL;
  if (posix_memalign(&memory, CACHE_LINE, sizeof(lw_pool)) != 0) return NULL;
  lw_pool *pool = memory;
  memset(pool, 0, sizeof *pool);
  pool->threads = 1;
  if (pthread_mutex_init(&pool->mutex, NULL) != 0) {
    free(pool);
    return NULL;
  }
  if (pthread_cond_init(&pool->wake, NULL) != 0) {
    (void)pthread_mutex_destroy(&pool->mutex);
    free(pool);
    return NULL;
  }
  for (uint32_t i = 1; i < threads; i++) {
    pool_worker *worker = &pool->workers[i];
    *worker = (pool_worker){.pool = pool, .worker = i};
    if (pthread_create(&worker->thread, NULL, serve, worker) != 0) {
      lw_pool_destroy(pool);
      return NULL;
    }
    pool->threads++;
  }
  return pool;
}
