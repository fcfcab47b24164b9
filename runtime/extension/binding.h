// What the Python extension adds to the engine: time stamps taken in C, so that timing an operator costs no call into
// Python.
#ifndef LACEWING_BINDING_H
#define LACEWING_BINDING_H

#include <time.h>

#include "lacewing.h"

typedef struct {
  uint64_t *nanoseconds;  // [capacity] end of each operator
  uint32_t capacity;      // operators
} lacewing_stamps;

static uint64_t lacewing_now(void) {
  struct timespec now;
#ifdef CLOCK_MONOTONIC
  clock_gettime(CLOCK_MONOTONIC, &now);
#else
  timespec_get(&now, TIME_UTC);
#endif
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void lacewing_stamp(void *context, uint32_t op) {
  lacewing_stamps *stamps = context;
  if (op < stamps->capacity) stamps->nanoseconds[op] = lacewing_now();
}

// Runs once with a stamp after each operator; *start is the time just before.
static lw_status lacewing_run_stamped(lw_model *model, const void *const *inputs, void *const *outputs, lw_error *error,
                                      lacewing_stamps *stamps, uint64_t *start) {
  lw_model_observe(model, lacewing_stamp, stamps);
  *start = lacewing_now();
  const lw_status status = lw_run(model, inputs, outputs, error);
  lw_model_observe(model, NULL, NULL);
  return status;
}

#endif
