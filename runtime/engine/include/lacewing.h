// Lacewing: runs .lace models. The whole public C interface.
//
// A model is a file in memory plus one block of work memory that the caller provides; the engine allocates nothing,
// opens nothing and starts no thread. In an app:
//
//   lw_options options = {.tier = LW_TIER_AUTO};  // the rest 0: one thread, no limit of memory
//   lw_error error;
//   lw_model *model;
//   size_t need;
//   if (lw_model_memory(file, bytes, &options, &need, &error) != LW_OK) return complain(&error);
//   void *memory = aligned_alloc(64, (need + 63) / 64 * 64);
//   if (lw_model_create(file, bytes, &options, memory, need, &model, &error) != LW_OK) return complain(&error);
//   while (wanted)
//     if (lw_run(model, inputs, outputs, &error) != LW_OK) return complain(&error);
//   free(memory);
//
// The file, for example mapped, must stay unchanged, and both blocks 64-byte aligned, as long as the model is used.
// There is nothing to destroy. A hostile file is safe: lw_model_create verifies all of it, whoever made it, and
// lw_model_memory its structure, which is what the answer depends on; lw_verify does nothing else.
//
// Inputs and outputs are plain row-major arrays, as lw_model_input and lw_model_output describe them: f32, or u7 with
// value = (q - zero_point) * scale and q from 0 to 127. Different models may run at the same time on different threads;
// one model is for one thread at a time. More threads for one run: hand `parallel` a pool, such as the one of
// lw_hosted.h. Every tier of kernels and every number of threads gives the same bytes.
#ifndef LACEWING_H
#define LACEWING_H

#include <stddef.h>
#include <stdint.h>

#include "lw_format.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lw_model lw_model;

// What went wrong, where, and the numbers behind it. index is a tensor, an operator, a section or a graph input,
// as `where` says; found and wanted are the two numbers that disagree, where there are two.
typedef struct {
  lw_status status;
  const char *where;  // static text: "header", "section", "tensor", "op", "graph", "input", "kernel", "memory"
  uint32_t index;
  uint64_t found;
  uint64_t wanted;
} lw_error;

// Runs task(argument, part, worker) for part = 0 .. parts-1, on any threads, and returns when all are done.
// worker < workers says which per-worker scratch a call may use; two calls at once never share it.
typedef void (*lw_task)(void *argument, uint32_t part, uint32_t worker);
typedef void (*lw_parallel)(void *context, lw_task task, void *argument, uint32_t parts);

typedef enum {
  LW_TIER_SCALAR = 0,
  LW_TIER_AVX2 = 1,
  LW_TIER_AVXVNNI = 2,
  LW_TIER_AVX512VNNI = 3,
  LW_TIER_NEON = 16,
  LW_TIER_DOTPROD = 17,
  LW_TIER_I8MM = 18,
  LW_TIER_SIMD128 = 32,
  LW_TIER_RELAXED = 33,
  LW_TIER_RELAXED_DOT = 34,  // where the relaxed dot product is one instruction
  LW_TIER_AUTO = 255
} lw_tier;

typedef struct {
  uint64_t max_memory;   // bytes of work memory allowed; 0 = no limit
  lw_tier tier;          // LW_TIER_AUTO = the best that this machine has
  uint32_t workers;      // threads that `parallel` uses; 0 or 1 without `parallel`
  lw_parallel parallel;  // NULL = everything on the calling thread
  void *parallel_context;
} lw_options;

typedef struct {
  const char *name;  // UTF-8, not terminated
  uint32_t name_bytes;
  uint32_t tensor;  // index into the file's tensors
  uint8_t dtype;    // LW_DTYPE_*
  uint8_t layout;   // LW_LAYOUT_*; graph inputs and outputs are always plain
  uint8_t rank;
  uint32_t dims[LW_MAX_RANK];
  float scale;
  uint32_t zero_point;
  size_t bytes;  // of the plain row-major array: one byte per u7, four per f32
} lw_tensor_info;

typedef struct {
  const char *name;  // UTF-8, not terminated
  uint32_t name_bytes;
  uint16_t kind;       // LW_OP_*
  const char *kernel;  // static text, for example "gemm_sparse_4x4__avx2"
  lw_tier tier;
  uint64_t macs;          // dense multiply-accumulates
  uint64_t kept_macs;     // after sparsity
  uint64_t weight_bytes;  // of the operator's data in the file
} lw_op_info;

lw_status lw_verify(const void *file, size_t bytes, lw_error *error);
lw_status lw_model_memory(const void *file, size_t bytes, const lw_options *options, size_t *need, lw_error *error);
lw_status lw_model_create(const void *file, size_t bytes, const lw_options *options, void *memory, size_t memory_bytes,
                          lw_model **model, lw_error *error);

// inputs[i] and outputs[i] point to plain row-major arrays of lw_model_input(i).bytes / lw_model_output(i).bytes.
lw_status lw_run(lw_model *model, const void *const *inputs, void *const *outputs, lw_error *error);

uint32_t lw_model_input_count(const lw_model *model);
uint32_t lw_model_output_count(const lw_model *model);
uint32_t lw_model_op_count(const lw_model *model);
lw_tensor_info lw_model_input(const lw_model *model, uint32_t i);
lw_tensor_info lw_model_output(const lw_model *model, uint32_t i);
lw_op_info lw_model_op(const lw_model *model, uint32_t i);
size_t lw_model_arena_bytes(const lw_model *model);  // activations only, part of the work memory
// The file's metadata, for example the preprocessing that the converter recorded: one JSON object as UTF-8, not
// terminated, or no bytes at all.
const char *lw_model_metadata(const lw_model *model, size_t *bytes);

// Called after each operator of a run; for per-layer times and comparisons. While there is one, operators that else run
// together follow each other. NULL removes it.
typedef void (*lw_observer)(void *context, uint32_t op);
void lw_model_observe(lw_model *model, lw_observer observer, void *context);
// Copies operator `op`'s result as a plain array (bytes as in lw_tensor_info); only valid inside the observer, for
// the operator just run. Returns the bytes needed; copies only when `capacity` suffices.
size_t lw_model_read_result(const lw_model *model, uint32_t op, void *plain, size_t capacity);

lw_tier lw_best_tier(void);              // of this machine and build
int lw_tier_available(lw_tier tier);     // 1 or 0
const char *lw_tier_name(lw_tier tier);  // "scalar", "avx2", "avxvnni", "avx512vnni", ...
const char *lw_status_name(lw_status status);
const char *lw_status_rule(lw_status status);
const char *lw_version(void);

#ifdef __cplusplus
}
#endif
#endif
