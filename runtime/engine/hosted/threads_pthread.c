// A small pool of threads. The parts of one call are taken from a shared counter, so that a slow core takes fewer.
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

// A call is published by raising `generation`; it has ended when every worker has said so in `idle`.
struct lw_pool {
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  uint32_t started;  // of the others
  int stop;          // written under the mutex, before generation is raised
  atomic_uint generation;
  atomic_uint sleepers;
  atomic_uint next;  // part to take
  atomic_uint idle;  // workers that are done with this generation
  lw_task task;
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

static void take_parts(lw_pool *pool, uint32_t worker) {
  for (;;) {
    const uint32_t part = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
    if (part >= pool->parts) return;
    pool->task(pool->argument, part, worker);
  }
}

// Returns the generation that follows `seen`.
static unsigned await_generation(lw_pool *pool, unsigned seen) {
  for (uint32_t i = 0; i < SPINS; i++) {
    const unsigned now = atomic_load_explicit(&pool->generation, memory_order_acquire);
    if (now != seen) return now;
    relax();
  }
  (void)pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->sleepers, 1);
  while (atomic_load(&pool->generation) == seen) (void)pthread_cond_wait(&pool->wake, &pool->mutex);
  atomic_fetch_sub(&pool->sleepers, 1);
  (void)pthread_mutex_unlock(&pool->mutex);
  return atomic_load_explicit(&pool->generation, memory_order_acquire);
}

static void *serve(void *argument) {
  const pool_worker *self = argument;
  lw_pool *pool = self->pool;
  unsigned seen = 0;
  for (;;) {
    seen = await_generation(pool, seen);
    if (pool->stop) return NULL;
    take_parts(pool, self->worker);
    atomic_fetch_add_explicit(&pool->idle, 1, memory_order_release);
  }
}

// Sequentially consistent, against a worker that counts itself a sleeper and then looks at the generation.
static void raise_generation(lw_pool *pool) {
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
  pool->parts = parts;
  atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
  atomic_store_explicit(&pool->idle, 0, memory_order_relaxed);
  raise_generation(pool);
  take_parts(pool, 0);
  for (uint32_t spins = 0; atomic_load_explicit(&pool->idle, memory_order_acquire) != pool->started; spins++) {
    if (spins < SPINS)
      relax();
    else
      (void)sched_yield();  // a worker has lost its core
  }
}

void lw_pool_destroy(lw_pool *pool) {
  if (pool == NULL) return;
  pool->stop = 1;
  raise_generation(pool);
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
