// How many threads are worth using. A thread on a slow core makes all others wait, so only cores of at least half the
// best capacity count.
#define _GNU_SOURCE  // sched_getaffinity
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lw_hosted.h"

#if defined(__linux__)
#include <sched.h>

// Linux's relative capacity of a processor, 1024 for the fastest; 0 where all are alike and the file is absent.
static unsigned capacity_of(size_t cpu) {
  char path[64], text[16] = {0};
  (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%zu/cpu_capacity", cpu);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t bytes = read(file, text, sizeof text - 1);
  (void)close(file);
  unsigned capacity = 0;
  for (ssize_t i = 0; i < bytes && text[i] >= '0' && text[i] <= '9'; i++)
    capacity = capacity * 10 + (unsigned)(text[i] - '0');
  return capacity;
}

uint32_t lw_performance_cores(void) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  unsigned best = 0;
  for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &allowed) && capacity_of(cpu) > best) best = capacity_of(cpu);
  uint32_t cores = 0;
  for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &allowed) && capacity_of(cpu) * 2 >= best) cores++;
  return cores == 0 ? 1 : cores;
}

#else

uint32_t lw_performance_cores(void) {
  const long cores = sysconf(_SC_NPROCESSORS_ONLN);
  return cores < 1 ? 1 : (uint32_t)cores;
}

#endif
