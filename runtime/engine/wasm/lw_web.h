// What a WebAssembly module of the engine exports: lacewing.h without pointers to structs, for JavaScript.
//
// A module imports nothing (a threads module: its memory) and holds one model per instance: one instance is one
// session. JavaScript owns the memory from the exported global __heap_base on: it grows the memory, places the file,
// the work memory and the arrays there, each at a multiple of 64 bytes, and the module never asks for more. To release
// a session, drop the instance. In order:
//   lw_web_configure(0, LW_TIER_AUTO, 1)            optional: these are the defaults
//   need = lw_web_work_bytes(file, file_bytes)      0 = refused: lw_web_error says why
//   lw_web_create(file, file_bytes, work, need)     status; verifies the whole file itself
//   lw_web_run(inputs, outputs)                     status, as often as wanted; a failed run leaves the session usable
// A uint32_t address, a pointer and a size_t are the same to JavaScript: a u32 (use `>>> 0`). Statuses are those of
// lw_format.h, tiers those of lacewing.h.
//
// Whatever has several fields is returned as the address of an array of float64 (8-byte aligned, valid until the next
// call of the same function), whose slots are the enumerations below. Every value is exact in a float64, but found and
// wanted of a hostile file, which are rounded beyond 2^53. Text is given as address and bytes, UTF-8, not terminated.
#ifndef LW_WEB_H
#define LW_WEB_H

#include "lacewing.h"

// JavaScript reads these enumerations from the file that format/generate.py derives from them.
typedef enum {
  LW_WEB_ERROR_STATUS,
  LW_WEB_ERROR_WHERE,  // text: "header", "section", "tensor", "op", "graph", "input", "output", "kernel", "memory"
  LW_WEB_ERROR_WHERE_BYTES,  // 0 when there is no error
  LW_WEB_ERROR_INDEX,        // of the tensor, operator, section or graph input that WHERE names
  LW_WEB_ERROR_FOUND,        // the two numbers that disagree, where there are two
  LW_WEB_ERROR_WANTED,
  LW_WEB_ERROR_SLOTS
} lw_web_error_slot;

typedef enum {
  LW_WEB_MODEL_INPUTS,
  LW_WEB_MODEL_OUTPUTS,
  LW_WEB_MODEL_OPS,
  LW_WEB_MODEL_ARENA_BYTES,  // activations only, part of the work memory
  LW_WEB_MODEL_TIER,         // LW_TIER_*, the one in use
  LW_WEB_MODEL_WORKERS,
  LW_WEB_MODEL_METADATA,  // text: the file's JSON object, or no bytes at all
  LW_WEB_MODEL_METADATA_BYTES,
  LW_WEB_MODEL_SLOTS
} lw_web_model_slot;

typedef enum {
  LW_WEB_TENSOR_NAME,  // text
  LW_WEB_TENSOR_NAME_BYTES,
  LW_WEB_TENSOR_DTYPE,       // LW_DTYPE_*
  LW_WEB_TENSOR_SCALE,       // of u7, else 0
  LW_WEB_TENSOR_ZERO_POINT,  // of u7, else 0
  LW_WEB_TENSOR_BYTES,       // of the plain row-major array
  LW_WEB_TENSOR_RANK,
  LW_WEB_TENSOR_DIM_0,
  LW_WEB_TENSOR_DIM_1,
  LW_WEB_TENSOR_DIM_2,
  LW_WEB_TENSOR_DIM_3,
  LW_WEB_TENSOR_SLOTS
} lw_web_tensor_slot;

typedef enum {
  LW_WEB_OP_NAME,  // text
  LW_WEB_OP_NAME_BYTES,
  LW_WEB_OP_KIND,    // LW_OP_*
  LW_WEB_OP_KERNEL,  // text, for example "gemm_sparse_4x4__relaxed"
  LW_WEB_OP_KERNEL_BYTES,
  LW_WEB_OP_TIER,          // LW_TIER_*
  LW_WEB_OP_MACS,          // dense multiply-accumulates
  LW_WEB_OP_KEPT_MACS,     // after sparsity
  LW_WEB_OP_WEIGHT_BYTES,  // of the operator's data in the file
  LW_WEB_OP_SLOTS
} lw_web_op_slot;

// max_memory: bytes of work memory allowed, 0 = no limit. workers: threads counting the caller; 1 in a module without.
void lw_web_configure(uint32_t max_memory, uint32_t tier, uint32_t workers);
lw_status lw_web_verify(const void *file, uint32_t bytes);  // the file alone, without a session
uint32_t lw_web_work_bytes(const void *file, uint32_t bytes);
lw_status lw_web_create(const void *file, uint32_t bytes, void *work, uint32_t work_bytes);
// inputs and outputs: arrays of u32 addresses, one per graph input and graph output.
lw_status lw_web_run(const void *const *inputs, void *const *outputs);

const double *lw_web_error(void);               // [LW_WEB_ERROR_SLOTS] of the last call that can fail
const double *lw_web_model(void);               // [LW_WEB_MODEL_SLOTS]
const double *lw_web_input(uint32_t i);         // [LW_WEB_TENSOR_SLOTS], i below LW_WEB_MODEL_INPUTS
const double *lw_web_output(uint32_t i);        // [LW_WEB_TENSOR_SLOTS], i below LW_WEB_MODEL_OUTPUTS
const double *lw_web_op(uint32_t i);            // [LW_WEB_OP_SLOTS], i below LW_WEB_MODEL_OPS
uint32_t lw_web_tier(void);                     // LW_TIER_*, the best of this module
uint32_t lw_web_tier_available(uint32_t tier);  // 1 or 0

// Threads modules only. The memory is imported as env.memory: shared, initially LW_WEB_PAGES pages or more. Each Worker
// instantiates the same module on the same memory, sets its own exported global __stack_pointer to the end (a multiple
// of 16) of LW_WEB_STACK_BYTES that JavaScript set aside for it, and calls lw_web_worker with its number, 1 ..
// workers-1; the call returns after lw_web_stop. The session never waits for a Worker that has not come yet, so nothing
// depends on when they start. The caller of lw_web_run spins while the last parts of an operator end elsewhere; it
// never blocks, as a page must not.
#define LW_WEB_PAGES 16u
#define LW_WEB_STACK_BYTES 65536u
void lw_web_worker(uint32_t worker);
void lw_web_stop(void);
// For lw_options: an lw_parallel without context.
void lw_web_parallel(void *context, lw_task task, void *argument, uint32_t parts);

#endif
