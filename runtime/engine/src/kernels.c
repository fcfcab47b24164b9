// The kernel table and the choice of a kernel: first fit in the wanted tier, then the tiers below it.
#include "lw_internal.h"

#define X(family, TIER, block_rows, sparse, kernel, stride, tile, name) void lw_##name(const void *args);
#include "kernels.def"
#undef X

static const lw_kernel kernels[] = {
#define X(family, TIER, block_rows, sparse, kernel, stride, tile, name) \
  {LW_FAMILY_##family, LW_TIER_##TIER, block_rows, sparse, kernel, stride, tile, lw_##name, #name},
#include "kernels.def"
#undef X
};
static const size_t kernel_count = sizeof kernels / sizeof kernels[0];

// Kept pairs are a bitmask like any other to the kernels that do not ask for them.
static int fits_weights(int32_t takes, int32_t sparse) {
  return takes == 0 || takes == sparse || (takes == 1 && sparse == 2);
}

static int fits(const lw_kernel *k, const lw_kernel_wish *wish) {
  return (k->block_rows == 0 || k->block_rows == wish->block_rows) && fits_weights(k->sparse, wish->sparse) &&
         (k->kernel == 0 || k->kernel == wish->kernel) && (k->stride == 0 || k->stride == wish->stride);
}

// Tiers of one architecture stand in rising order of one group of sixteen; scalar is below all.
static uint32_t architecture(uint32_t tier) { return tier / 16; }

static int is_built(lw_tier tier) {
  for (size_t i = 0; i < kernel_count; i++)
    if (kernels[i].tier == tier) return 1;
  return 0;
}

int lw_tier_available(lw_tier tier) { return is_built(tier) && lw_cpu_has(tier); }

lw_tier lw_best_tier(void) {
  lw_tier best = LW_TIER_SCALAR;
  for (size_t i = 0; i < kernel_count; i++)
    if (kernels[i].tier > best && lw_cpu_has(kernels[i].tier)) best = kernels[i].tier;
  return best;
}

const lw_kernel *lw_find_kernel(lw_family family, lw_tier tier, const lw_kernel_wish *wish) {
  const lw_kernel *best = NULL;
  for (size_t i = 0; i < kernel_count; i++) {
    const lw_kernel *k = &kernels[i];
    if (k->family != family || k->tier > tier || !fits(k, wish)) continue;
    if (k->tier != LW_TIER_SCALAR && architecture(k->tier) != architecture(tier)) continue;
    if (best != NULL && k->tier <= best->tier) continue;
    if (k->tier != tier && !lw_cpu_has(k->tier)) continue;  // a newer tier does not imply every older one
    best = k;
  }
  return best;
}
