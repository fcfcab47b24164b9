// Names of statuses and tiers, and the one way to report an error.
#include "lw_internal.h"

lw_status lw_fail(lw_error *error, lw_status status, const char *where, uint64_t index, uint64_t found,
                  uint64_t wanted) {
  if (error != NULL) *error = (lw_error){status, where, (uint32_t)index, found, wanted};
  return status;
}

const char *lw_status_name(lw_status status) {
  switch (status) {
    case LW_OK:
      return "ok";
#define X(NAME, number, name, rule) \
  case LW_E_##NAME:                 \
    return name;
      LW_ERRORS(X)
#undef X
  }
  return "unknown";
}

const char *lw_status_rule(lw_status status) {
  switch (status) {
    case LW_OK:
      return "no error";
#define X(NAME, number, name, rule) \
  case LW_E_##NAME:                 \
    return rule;
      LW_ERRORS(X)
#undef X
  }
  return "not a status of this version";
}

const char *lw_tier_name(lw_tier tier) {
  switch (tier) {
    case LW_TIER_SCALAR:
      return "scalar";
    case LW_TIER_AVX2:
      return "avx2";
    case LW_TIER_AVXVNNI:
      return "avxvnni";
    case LW_TIER_AVX512VNNI:
      return "avx512vnni";
    case LW_TIER_NEON:
      return "neon";
    case LW_TIER_DOTPROD:
      return "dotprod";
    case LW_TIER_I8MM:
      return "i8mm";
    case LW_TIER_SIMD128:
      return "simd128";
    case LW_TIER_RELAXED:
      return "relaxed";
    case LW_TIER_RELAXED_DOT:
      return "relaxed_dot";
    case LW_TIER_AUTO:
      return "auto";
  }
  return "unknown";
}

const char *lw_version(void) { return "0.1.0"; }
