// How many threads are worth using. A thread on a slow core makes all others wait, so only cores of at least half the
// best capacity count. Which cores they run on is left to the scheduler: it moves busy threads to the fast ones.
#define _GNU_SOURCE  // sched_getaffinity
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lw_hosted.h"

uint32_t lw_count_fast_cores(const uint32_t *capacities, uint32_t count) {
  uint32_t best = 0, fast = 0;
  for (uint32_t i = 0; i < count; i++)
    if (capacities[i] > best) best = capacities[i];
  for (uint32_t i = 0; i < count; i++)
    if (capacities[i] != 0 && capacities[i] * 2 >= best) fast++;
  return fast;
}

#if defined(__linux__)
#include <sched.h>

// The number in <folder>/cpu<N>/cpu_capacity; alike where the machine's cores are all alike and the file is absent.
static uint32_t capacity_of(const char *folder, uint32_t cpu) {
  char path[256], text[16] = {0};
  const int length = snprintf(path, sizeof path, "%s/cpu%u/cpu_capacity", folder, (unsigned)cpu);
  const int file = length > 0 && (size_t)length < sizeof path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return LW_FULL_CAPACITY;
  const ssize_t bytes = read(file, text, sizeof text - 1);
  (void)close(file);
  uint32_t capacity = 0;
  for (ssize_t i = 0; i < bytes && i < 9 && text[i] >= '0' && text[i] <= '9'; i++)
    capacity = capacity * 10 + (uint32_t)(text[i] - '0');
  return capacity == 0 ? LW_FULL_CAPACITY : capacity;
}

uint32_t lw_core_capacities(const char *folder, uint32_t *capacities, uint32_t count) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) CPU_SET(0, &allowed);
  uint32_t end = 0;
  for (uint32_t cpu = 0; cpu < count && cpu < CPU_SETSIZE; cpu++) {
    const int usable = CPU_ISSET(cpu, &allowed) != 0;
    capacities[cpu] = usable ? capacity_of(folder != NULL ? folder : "/sys/devices/system/cpu", cpu) : 0;
    if (usable) end = cpu + 1;
  }
  return end;
}

#else

uint32_t lw_core_capacities(const char *folder, uint32_t *capacities, uint32_t count) {
  (void)folder;
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  const uint32_t cores = online < 1 ? 1 : (uint32_t)online;
  for (uint32_t cpu = 0; cpu < cores && cpu < count; cpu++) capacities[cpu] = LW_FULL_CAPACITY;
  return cores < count ? cores : count;
}

#endif

uint32_t lw_performance_cores(void) {
  uint32_t capacities[LW_MAX_CORES];  // [cores] relative speed
  const uint32_t cores = lw_count_fast_cores(capacities, lw_core_capacities(NULL, capacities, LW_MAX_CORES));
  return cores == 0 ? 1 : cores;
}
