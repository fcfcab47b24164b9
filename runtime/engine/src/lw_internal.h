// What the engine's own files share: the parsed file, shapes, the plan of a model, the kernel table.
#ifndef LW_INTERNAL_H
#define LW_INTERNAL_H

#include <stdatomic.h>

#include "lw_kernel.h"

_Static_assert(sizeof(lw_header_record) == LW_HEADER_BYTES, "header record");
_Static_assert(sizeof(lw_section_record) == LW_SECTION_ENTRY_BYTES, "section record");
_Static_assert(sizeof(lw_tensor_record) == 64, "tensor record");
_Static_assert(sizeof(lw_op_record) == 128, "op record");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are read in place");

#define LW_MAX_GRAPH 1024u          // graph inputs, and graph outputs
#define LW_MAX_K4 65535u            // quads along K of a convolution: block positions are u16
#define LW_MAX_KERNEL 1024u         // kernel, stride, dilation and padding of a convolution
#define LW_MAX_POOL_TAPS 16777216u  // 127 * taps stays below 2^31
#define LW_MAX_COST (UINT64_C(1) << 40)
#define LW_TRY(call)                                  \
  do {                                                \
    const lw_status lw_try_status = (call);           \
    if (lw_try_status != LW_OK) return lw_try_status; \
  } while (0)

// Finite, positive, not denormal: a machine that flushes denormals computes the same with it.
static inline int lw_is_normal(float x) { return x >= 0x1p-126f && x <= 0x1.fffffep+127f; }

static inline int lw_same_bytes(const void *a, const void *b, size_t count) {
  const uint8_t *left = a, *right = b;
  for (size_t i = 0; i < count; i++)
    if (left[i] != right[i]) return 0;
  return 1;
}

// ---- the file (verify*.c) ----

// Views into the caller's bytes, once the section table is proved.
typedef struct {
  const uint8_t *base;  // [bytes]
  size_t bytes;
  const lw_tensor_record *tensors;  // [tensor_count]
  const lw_op_record *ops;          // [op_count]
  const uint32_t *graph;            // [input_count + output_count] tensor indices
  const uint8_t *names;             // [names_bytes]
  const uint8_t *metadata;          // [metadata_bytes]
  const uint8_t *data;              // [data_bytes]
  uint32_t tensor_count, op_count, input_count, output_count;
  uint64_t names_bytes, metadata_bytes, data_bytes;
} lw_file;

lw_status lw_fail(lw_error *error, lw_status status, const char *where, uint64_t index, uint64_t found,
                  uint64_t wanted);
uint64_t lw_checksum(const uint8_t *body, size_t bytes);  // bytes: a multiple of 32

lw_status lw_file_open(const void *bytes, size_t size, lw_file *file, lw_error *error);
lw_status lw_verify_checksum(const lw_file *file, lw_error *error);
lw_status lw_verify_structure(const lw_file *file, lw_error *error);  // all but the checksum and the weights' values
lw_status lw_verify_padding(const lw_file *file, lw_error *error);
lw_status lw_verify_text(const lw_file *file, lw_error *error);
lw_status lw_verify_graph(const lw_file *file, lw_error *error);
lw_status lw_verify_ops(const lw_file *file, lw_error *error);
lw_status lw_verify_data_ranges(const lw_file *file, lw_error *error);
lw_status lw_verify_data(const lw_file *file, lw_error *error);
lw_status lw_verify_conv_data(const lw_file *file, uint32_t op, lw_error *error);
lw_status lw_verify_depthwise_data(const lw_file *file, uint32_t op, lw_error *error);
int lw_all_zero(const uint8_t *bytes, uint64_t count);

// ---- shapes and sizes (shapes.c) ----

typedef struct {
  uint32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  uint32_t pad_top, pad_left, pad_bottom, pad_right;
} lw_window;

// The parts of a convolution's data, offsets from the operator's data.
typedef struct {
  uint32_t block_rows, rows, c4, k4;  // k4 may exceed LW_MAX_K4 until verified
  uint32_t channels;                  // output channels
  int sparse;
  uint64_t mask_stride;  // bytes per row; 0 when dense
  uint64_t kept;         // blocks
  uint64_t weights, bias, scale, end;
} lw_conv_parts;

uint64_t lw_popcount(const uint8_t *bytes, uint64_t count);  // bits that are set
lw_window lw_window_of(const lw_op_record *op);
uint64_t lw_window_output(uint64_t size, uint64_t kernel, uint64_t stride, uint64_t dilation, uint64_t pads);
float lw_attribute_f32(const lw_op_record *op, uint32_t slot);
uint64_t lw_tensor_elements(const lw_tensor_record *tensor);
uint64_t lw_tensor_plain_bytes(const lw_tensor_record *tensor);
uint64_t lw_tensor_memory(const lw_tensor_record *tensor);  // bytes as laid out in the arena
uint64_t lw_tensor_pixels(const lw_tensor_record *tensor);  // of one plane of quads
// Parts of a convolution. The mask must lie inside the operator's data: lw_conv_mask_end says how far it reaches.
uint64_t lw_conv_mask_end(const lw_file *file, const lw_op_record *op);
lw_conv_parts lw_conv_parts_of(const lw_file *file, const lw_op_record *op);
uint64_t lw_op_data_bytes(const lw_file *file, const lw_op_record *op);
uint64_t lw_op_macs(const lw_file *file, const lw_op_record *op);

// ---- weights, sixteen at a time (verify_weights.c, plan_pairs.c) ----

typedef int8_t lw_v_weights __attribute__((vector_size(16)));
typedef uint8_t lw_v_magnitudes __attribute__((vector_size(16)));
typedef uint16_t lw_v_pairs __attribute__((vector_size(16)));  // of neighbouring weights

// WebAssembly has one instruction that compilers do not find; browsers run these loops before they optimize them.
static inline lw_v_pairs lw_pair_sums(lw_v_magnitudes m) {
#ifdef __wasm_simd128__
  return (lw_v_pairs)__builtin_wasm_extadd_pairwise_i8x16_u_i16x8((lw_v_weights)m);
#else
  return ((lw_v_pairs)m & 0xFF) + ((lw_v_pairs)m >> 8);
#endif
}

// ---- kernels (kernels.c, cpu.c) ----

typedef struct {
  uint32_t block_rows;
  int32_t sparse;           // 1 bitmask, 2 bitmask of kept pairs, -1 dense
  uint32_t kernel, stride;  // 0 = not square or dilated
} lw_kernel_wish;

int lw_cpu_has(lw_tier tier);
const lw_kernel *lw_find_kernel(lw_family family, lw_tier tier, const lw_kernel_wish *wish);

// ---- the plan (plan*.c) ----

typedef struct {
  uint8_t *data;       // [bytes] in the arena, or the caller's array during a run
  size_t bytes;        // as laid out
  size_t plane;        // bytes of a plane of quads; 0 for plain
  uint32_t root;       // the tensor whose buffer holds this one; itself if none
  uint8_t external;    // 1: a graph input or output, in the caller's array
  uint8_t search_nan;  // 1: read by an operator that takes floats as they are
} lw_place;

// How a depthwise convolution and the 1x1 convolutions behind it and in front of it are cut (bands.c). In WebAssembly
// on one thread bands are no faster, and their code is a fiftieth of a module.
#ifdef __wasm__
#define LW_HAS_BANDS 0
#else
#define LW_HAS_BANDS 1
#endif
typedef struct {
  uint32_t count;     // of bands; 0: the operators are run one after the other
  uint32_t unit;      // pixels: a band begins at a multiple
  size_t plane;       // bytes from quad to quad of what the depthwise writes, in a worker's scratch
  size_t wide_plane;  // likewise of what it reads, where bands compute that, too; else 0
} lw_bands;

typedef struct {
  const lw_op_record *record;
  const uint8_t *data;      // the operator's parts in the file
  const lw_kernel *kernel;  // NULL: not dispatched
  const lw_kernel *pack;    // conv: NULL = the input is used in place
  uint16_t *index;          // [kept] conv: position along K4; NULL when dense
  uint32_t *row_start;      // [rows+1] conv
  uint16_t *order;          // [kept] conv; NULL where the kernel wants no pairs (plan_pairs.c)
  uint16_t *pairs;          // [rows] conv; NULL likewise
  lw_conv_parts conv;
  lw_bands bands;  // depthwise
} lw_op_plan;

struct lw_model {
  lw_file file;
  lw_options options;
  lw_place *places;   // [tensor_count]
  lw_op_plan *plans;  // [op_count]
  uint8_t *arena;     // [arena_bytes]
  uint8_t *scratch;   // [workers][scratch_stride]
  size_t arena_bytes, scratch_stride;
  uint32_t workers;
  atomic_flag running;
  atomic_uint found_nan;
  lw_observer observer;
  void *observer_context;
};

// Where each tensor stays: buffers share memory when their lifetimes do not meet. Only the first LW_MAX_PLANNED
// tensors share; a larger model's others get places of their own, which keeps the planner's memory on the stack small.
#define LW_MAX_PLANNED 1024u
typedef struct {
  uint32_t root;         // tensor that owns the buffer
  uint32_t first, last;  // operators: written, last read; of the whole buffer for a root
  uint64_t bytes;        // of the tensor's own layout, whole lines
  uint64_t offset;       // of the buffer in the arena; of an alias in its root's buffer
} lw_life;
typedef struct {
  lw_life lives[LW_MAX_PLANNED];
  uint32_t count;
  uint64_t shared_bytes;  // of the first `count` tensors
  uint64_t arena_bytes;
} lw_arena_plan;
void lw_plan_arena(const lw_file *file, uint32_t workers, lw_arena_plan *plan);
int lw_tensor_is_external(const lw_file *file, uint32_t tensor);

// Those of operator `op`, the next one, and with a wide plane the one before.
lw_bands lw_bands_of(const lw_file *file, const lw_arena_plan *arena, uint32_t op, uint32_t workers);

uint64_t lw_conv_table_bytes(const lw_conv_parts *parts, const lw_kernel *kernel);
void lw_plan_conv(lw_op_plan *plan, uint8_t *memory);
int lw_wants_pairs(const lw_kernel *kernel);  // plan_pairs.c
void lw_plan_pairs(lw_op_plan *plan);
int lw_conv_keeps_pairs(const lw_file *file,
                        const lw_op_record *op);  // sparse, each with its neighbour: (k even, k + 1)
int lw_conv_is_direct(const lw_file *file, const lw_op_record *op);
int lw_conv_is_gemv(const lw_file *file, const lw_op_record *op);

// ---- running (run*.c) ----

// One operator of one run. Tasks get it as their argument and know from `parts` how the work was cut.
typedef struct {
  lw_model *model;
  const lw_op_plan *plan;
  const lw_tensor_record *input, *output;  // the first input's
  const lw_place *from, *to;               // the first input's
  uint32_t parts, chunks;                  // parts = outer pieces * chunks, for tasks cut along two axes
  const void *args;                        // what all parts hand to their kernel; each adds its own place
} lw_call;

static inline const lw_tensor_record *lw_call_input(const lw_call *call, uint32_t k) {
  return &call->model->file.tensors[call->plan->record->inputs[k]];
}
static inline const lw_place *lw_call_place(const lw_call *call, uint32_t k) {
  return &call->model->places[call->plan->record->inputs[k]];
}
static inline uint32_t lw_call_quads(const lw_tensor_record *tensor) {
  return (uint32_t)lw_ceil_div(tensor->dims[1], LW_QUAD);
}
static inline uint32_t lw_part_begin(uint32_t total, uint32_t part, uint32_t parts) {
  return (uint32_t)((uint64_t)total * part / parts);
}

void lw_split(lw_call *call, lw_task task, uint32_t parts);  // runs task(call, 0 .. parts-1)
// Into how many parts, 1 .. most, to cut each of `pieces` so that every worker finds `per_worker`; 1 for a lone worker.
uint32_t lw_cuts(const lw_call *call, uint32_t per_worker, uint32_t pieces, uint32_t most);
lw_gemm_args lw_gemm_args_of(const lw_call *call);            // without the tile and the output's place
lw_depthwise_args lw_depthwise_args_of(const lw_call *call);  // of the first quad, without its rows
// From the first quad's arguments to those of `quad`, but for the output.
static inline void lw_depthwise_to_quad(lw_depthwise_args *args, size_t input_plane, uint32_t quad) {
  args->input += quad * input_plane;
  args->weights += (size_t)quad * args->kernel_h * args->kernel_w * LW_QUAD;
  args->bias += quad * LW_QUAD;
  args->scale += quad * LW_QUAD;
}
void lw_run_conv(lw_call *call);
void lw_run_depthwise(lw_call *call);
void lw_run_bands(const lw_call *widening, const lw_call *depthwise, lw_call *pointwise);  // widening: or NULL
void lw_run_pool(lw_call *call);
void lw_run_quantize(lw_call *call);
void lw_run_dequantize(lw_call *call);
void lw_run_softmax(lw_call *call);
void lw_run_binary(lw_call *call);
void lw_run_table(lw_call *call);
void lw_run_pad(lw_call *call);
void lw_run_resize(lw_call *call);
void lw_run_layout(lw_call *call);
void lw_run_concat(lw_call *call);
void lw_run_reshape(lw_call *call);
void lw_run_transpose(lw_call *call);

#endif
