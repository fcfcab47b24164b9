// A small pool of threads. The parts of one call are taken from a shared counter, so that a slow core takes fewer, and
// one that is busy with other work takes none: a call ends when its parts are done, whoever did them.
// Operators follow each other within microseconds: a worker first spins for the next one, then sleeps.
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "lw_hosted.h"

#define SPINS 4000u  // about 100 us of waiting, longer than the gap between two operators

typedef struct {
  struct lw_pool *pool;
  pthread_t thread;
  uint32_t worker;
} pool_worker;

// A call is published by a ticket: its generation in the high half, the parts that nobody has taken yet in the low one.
// A worker that comes late finds another generation or no part, and has touched nothing of the call.
struct lw_pool {
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  uint32_t started;  // of the others
  atomic_int stop;
  atomic_ullong ticket;
  atomic_uint sleepers;
  atomic_uint done;  // parts
  lw_task task;      // these three are read with a part in hand, which keeps the call from ending
  void *argument;
  uint32_t parts;
  pool_worker workers[LW_POOL_MAX];
};

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static inline uint32_t generation_of(unsigned long long ticket) { return (uint32_t)(ticket >> 32); }

static void take_parts(lw_pool *pool, uint32_t generation, uint32_t worker) {
  unsigned long long ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
  for (;;) {
    const uint32_t left = (uint32_t)ticket;
    if (generation_of(ticket) != generation || left == 0) return;
    if (!atomic_compare_exchange_weak_explicit(&pool->ticket, &ticket, ticket - 1, memory_order_acquire,
                                               memory_order_acquire))
      continue;
    pool->task(pool->argument, pool->parts - left, worker);
    atomic_fetch_add_explicit(&pool->done, 1, memory_order_release);
    ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
  }
}

// Returns the generation that follows `seen`.
static uint32_t await_generation(lw_pool *pool, uint32_t seen) {
  for (uint32_t i = 0; i < SPINS; i++) {
    const uint32_t now = generation_of(atomic_load_explicit(&pool->ticket, memory_order_acquire));
    if (now != seen) return now;
    relax();
  }
  (void)pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->sleepers, 1);
  while (generation_of(atomic_load(&pool->ticket)) == seen) (void)pthread_cond_wait(&pool->wake, &pool->mutex);
  atomic_fetch_sub(&pool->sleepers, 1);
  (void)pthread_mutex_unlock(&pool->mutex);
  return generation_of(atomic_load(&pool->ticket));
}

static void *serve(void *argument) {
  const pool_worker *self = argument;
  lw_pool *pool = self->pool;
  uint32_t seen = 0;
  for (;;) {
    seen = await_generation(pool, seen);
    if (atomic_load(&pool->stop)) return NULL;
    take_parts(pool, seen, self->worker);
  }
}

// Returns the new generation. Sequentially consistent, against a worker that counts itself a sleeper and then looks.
static uint32_t publish(lw_pool *pool, uint32_t parts) {
  const uint32_t generation = generation_of(atomic_load_explicit(&pool->ticket, memory_order_relaxed)) + 1;
  atomic_store(&pool->ticket, (unsigned long long)generation << 32 | parts);
  if (atomic_load(&pool->sleepers) == 0) return generation;
  (void)pthread_mutex_lock(&pool->mutex);
  (void)pthread_cond_broadcast(&pool->wake);
  (void)pthread_mutex_unlock(&pool->mutex);
  return generation;
}

void lw_pool_parallel(void *context, lw_task task, void *argument, uint32_t parts) {
  lw_pool *pool = context;
  pool->task = task;
  pool->argument = argument;
  pool->parts = parts;
  atomic_store_explicit(&pool->done, 0, memory_order_relaxed);
  take_parts(pool, publish(pool, parts), 0);
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
  (void)publish(pool, 0);
  for (uint32_t i = 0; i < pool->started; i++) (void)pthread_join(pool->workers[i].thread, NULL);
  (void)pthread_cond_destroy(&pool->wake);
  (void)pthread_mutex_destroy(&pool->mutex);
  free(pool);
}

lw_pool *lw_pool_create(uint32_t threads) {
  if (threads < 1 || threads > LW_POOL_MAX) return NULL;
  lw_pool *pool = calloc(1, sizeof *pool);
  if (pool == NULL) return NULL;
  if (pthread_mutex_init(&pool->mutex, NULL) != 0) {
    free(pool);
    return NULL;
  }
  if (pthread_cond_init(&pool->wake, NULL) != 0) {
    (void)pthread_mutex_destroy(&pool->mutex);
    free(pool);
    return NULL;
  }
  for (uint32_t i = 0; i + 1 < threads; i++) {
    pool_worker *worker = &pool->workers[i];
    *worker = (pool_worker){.pool = pool, .worker = i + 1};
    if (pthread_create(&worker->thread, NULL, serve, worker) != 0) {
      lw_pool_destroy(pool);
      return NULL;
    }
    pool->started++;
  }
  return pool;
}
