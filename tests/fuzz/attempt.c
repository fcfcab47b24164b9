#include "attempt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lw_internal.h"

#define MAX_MEMORY (UINT64_C(64) << 20)  // bytes
#define MAX_MACS (UINT64_C(1) << 28)
#define MAX_ARRAYS 64u  // graph inputs or outputs; more are verified and not run
#define UNWRITTEN 0xA5  // above 127: no valid u7
#define WORKERS 2u      // of every tier but the scalar one

static void require(int truth, const char *promise) {
  if (truth) return;
  fprintf(stderr, "broken promise: %s\n", promise);
  abort();
}

// A block of its own, so that the sanitizer sees the first byte past its end.
static void *block(size_t bytes, int value) {
  void *memory = NULL;
  require(posix_memalign(&memory, LW_ALIGNMENT, bytes == 0 ? 1 : bytes) == 0, "memory for the test");
  memset(memory, value, bytes);
  return memory;
}

static uint32_t next(uint32_t *state) {  // xorshift32
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

static void fill_input(const lw_tensor_info *info, uint8_t *to) {
  uint32_t state = 0x9E3779B9u;
  for (size_t i = 0; i < info->bytes; i += info->dtype == LW_DTYPE_F32 ? 4 : 1) {
    const uint32_t x = next(&state);
    const float value = (float)((int32_t)x >> 8) * 0x1p-20f;
    if (info->dtype == LW_DTYPE_F32)
      memcpy(to + i, &value, sizeof value);
    else
      to[i] = (uint8_t)(x >> 25);
  }
}

static uint64_t total_macs(const lw_model *model) {
  uint64_t macs = 0;
  for (uint32_t i = 0; i < lw_model_op_count(model); i++) macs += lw_model_op(model, i).macs;
  return macs;
}

typedef struct {
  uint32_t input_count, output_count;
  void *inputs[MAX_ARRAYS], *outputs[MAX_ARRAYS];
  size_t output_bytes[MAX_ARRAYS];
} arrays;

static void free_arrays(arrays *a) {
  for (uint32_t i = 0; i < a->input_count; i++) free(a->inputs[i]);
  for (uint32_t i = 0; i < a->output_count; i++) free(a->outputs[i]);
}

static void make_arrays(const lw_model *model, arrays *a) {
  a->input_count = lw_model_input_count(model);
  a->output_count = lw_model_output_count(model);
  for (uint32_t i = 0; i < a->input_count; i++) {
    const lw_tensor_info info = lw_model_input(model, i);
    a->inputs[i] = block(info.bytes, 0);
    fill_input(&info, a->inputs[i]);
  }
  for (uint32_t i = 0; i < a->output_count; i++) {
    a->output_bytes[i] = lw_model_output(model, i).bytes;
    a->outputs[i] = block(a->output_bytes[i], UNWRITTEN);
  }
}

static void check_outputs(const lw_model *model, const arrays *a) {
  for (uint32_t i = 0; i < a->output_count; i++) {
    if (lw_model_output(model, i).dtype != LW_DTYPE_U7) continue;
    const uint8_t *bytes = a->outputs[i];
    for (size_t k = 0; k < a->output_bytes[i]; k++) require(bytes[k] <= LW_ACTIVATION_MAX, "u7 outputs are 0 to 127");
  }
}

// Parts one after the other, by as many workers as share an operator.
static void in_turns(void *context, lw_task task, void *argument, uint32_t parts) {
  (void)context;
  for (uint32_t part = 0; part < parts; part++) task(argument, part, part % WORKERS);
}

// Runs with one tier; `first` keeps the first tier's outputs for comparison. Returns 0 if the model is not run.
static int run_tier(const uint8_t *file, size_t bytes, lw_tier tier, arrays *first) {
  const uint32_t workers = tier == LW_TIER_SCALAR ? 1 : WORKERS;
  lw_options options = {.max_memory = MAX_MEMORY, .tier = tier, .workers = workers, .parallel = in_turns};
  lw_error error = {0};
  size_t need = 0;
  const lw_status planned = lw_model_memory(file, bytes, &options, &need, &error);
  require(planned == LW_OK || planned == LW_E_MEMORY, "a verified file is planned, or refused for memory");
  if (planned != LW_OK) return 0;
  require(need <= MAX_MEMORY, "max_memory is kept");
  void *memory = block(need, UNWRITTEN);
  lw_model *model = NULL;
  require(lw_model_create(file, bytes, &options, memory, need, &model, &error) == LW_OK, "a planned model is created");
  const int runs = total_macs(model) <= MAX_MACS && lw_model_input_count(model) <= MAX_ARRAYS &&
                   lw_model_output_count(model) <= MAX_ARRAYS;
  if (runs) {
    arrays mine = {0};
    make_arrays(model, &mine);
    require(lw_run(model, (const void *const *)mine.inputs, mine.outputs, &error) == LW_OK, "a created model runs");
    check_outputs(model, &mine);
    for (uint32_t i = 0; i < first->output_count; i++)
      require(memcmp(first->outputs[i], mine.outputs[i], mine.output_bytes[i]) == 0, "every tier gives the same bytes");
    if (first->output_count == 0)
      *first = mine;
    else
      free_arrays(&mine);
  }
  free(memory);
  return runs;
}

// lw_model_create refuses what lw_verify refuses, for the same reason. lw_model_memory leaves the checksum and the
// weights' values to it, and may therefore still say how much memory the file asks for.
static void check_refusal(const uint8_t *file, size_t bytes, lw_status status) {
  const lw_options options = {.max_memory = MAX_MEMORY, .tier = LW_TIER_AUTO};
  lw_error error = {0};
  size_t need = 0;
  const lw_status planned = lw_model_memory(file, bytes, &options, &need, &error);
  require(planned == error.status, "the error says what the status says");
  if (planned != LW_OK) need = LW_ALIGNMENT;
  require(need <= MAX_MEMORY, "max_memory is kept");
  void *memory = block(need, UNWRITTEN);
  lw_model *model = NULL;
  require(lw_model_create(file, bytes, &options, memory, need, &model, &error) == status, "create verifies as verify");
  require(model == NULL, "no model comes from a refused file");
  free(memory);
}

lw_status attempt(const uint8_t *file, size_t bytes) {
  static const lw_tier tiers[] = {LW_TIER_SCALAR, LW_TIER_AVX2, LW_TIER_AVXVNNI, LW_TIER_AVX512VNNI};
  uint8_t *copy = block(bytes, 0);
  memcpy(copy, file, bytes);
  lw_error error = {0};
  const lw_status status = lw_verify(copy, bytes, &error);
  require(status == error.status, "the error says what the status says");
  require((status == LW_OK) || error.where != NULL, "a refusal says where");
  if (status != LW_OK) check_refusal(copy, bytes, status);
  arrays first = {0};
  for (size_t i = 0; status == LW_OK && i < sizeof tiers / sizeof *tiers; i++)
    if (lw_tier_available(tiers[i]) && !run_tier(copy, bytes, tiers[i], &first)) break;
  free_arrays(&first);
  require(memcmp(copy, file, bytes) == 0, "the file is never written");
  free(copy);
  return status;
}

void attempt_fix_checksum(uint8_t *file, size_t bytes) {
  const uint64_t sum = lw_checksum(file + LW_HEADER_BYTES, (bytes - LW_HEADER_BYTES) / 32 * 32);
  memcpy(file + offsetof(lw_header_record, checksum), &sum, sizeof sum);
}
