// Threads of a module on shared memory: the parts of one operator are tickets that whoever is there takes.
//
// The call waits for tickets that were taken, never for workers: one that has not started, or sleeps, or lost its core
// before it took a ticket holds nobody up. A ticket says which call it belongs to, so that a worker that comes late
// takes nothing of a call that has ended; and a call whose ticket is out cannot end, so what it left here stays valid.
#include "lw_web.h"

#ifdef __wasm_atomics__

#include <stdatomic.h>

#define EXPORT __attribute__((visibility("default")))
#define SPINS 20000u  // some tens of microseconds, longer than the gap between two operators

typedef _Atomic(uint32_t) shared_u32;
typedef _Atomic(uint64_t) shared_u64;

static shared_u64 tickets;  // high half: the call's number; low half: parts not taken yet
static shared_u32 calls;    // workers sleep on it
static shared_u32 sleepers, done, stop;
static lw_task call_task;
static void *call_argument;
static uint32_t call_parts;

static void sleep_unless_called(uint32_t seen) {
  atomic_fetch_add(&sleepers, 1);
  (void)__builtin_wasm_memory_atomic_wait32((int *)(void *)&calls, (int)seen, -1);
  atomic_fetch_sub(&sleepers, 1);
}

// Sequentially consistent, against a worker that counts itself a sleeper and then looks at `calls`.
static void wake_workers(void) {
  atomic_fetch_add(&calls, 1);
  if (atomic_load(&sleepers) != 0) (void)__builtin_wasm_memory_atomic_notify((int *)(void *)&calls, 0x7FFFFFFF);
}

// Takes parts of the call at hand until there are none.
static void take_parts(uint32_t worker) {
  uint64_t ticket = atomic_load_explicit(&tickets, memory_order_acquire);
  while ((uint32_t)ticket != 0) {
    if (!atomic_compare_exchange_weak_explicit(&tickets, &ticket, ticket - 1, memory_order_acq_rel,
                                               memory_order_acquire))
      continue;
    call_task(call_argument, call_parts - (uint32_t)ticket, worker);
    atomic_fetch_add_explicit(&done, 1, memory_order_release);
    ticket = atomic_load_explicit(&tickets, memory_order_acquire);
  }
}

static uint32_t await_call(uint32_t seen) {
  for (uint32_t i = 0; i < SPINS; i++)
    if (atomic_load_explicit(&calls, memory_order_acquire) != seen) break;
  while (atomic_load(&calls) == seen) sleep_unless_called(seen);
  return atomic_load(&calls);
}

EXPORT void lw_web_worker(uint32_t worker) {
  // A worker that comes while a call is open helps with it at once.
  for (uint32_t seen = atomic_load(&calls); !atomic_load(&stop); seen = await_call(seen)) take_parts(worker);
}

EXPORT void lw_web_stop(void) {
  atomic_store(&stop, 1);
  wake_workers();
}

void lw_web_parallel(void *context, lw_task task, void *argument, uint32_t parts) {
  (void)context;
  call_task = task;
  call_argument = argument;
  call_parts = parts;
  atomic_store_explicit(&done, 0, memory_order_relaxed);
  const uint64_t number = (uint64_t)atomic_load(&calls) + 1;
  atomic_store_explicit(&tickets, number << 32 | parts, memory_order_release);
  wake_workers();
  take_parts(0);
  while (atomic_load_explicit(&done, memory_order_acquire) != parts) {
  }
}

#endif
