// Where each tensor stays. Graph inputs and outputs are the caller's arrays. Elementwise operators write over an
// operand that nothing reads later, joined tensors are written where the concatenation wants them, and the buffers that
// remain share the arena: largest first, each into the tightest gap that its lifetime leaves. Float tensors have
// their own part, so that every byte of the other part is always 0..127.
#include "checked.h"
#include "lw_internal.h"

int lw_tensor_is_external(const lw_file *file, uint32_t tensor) {
  for (uint32_t i = 0; i < file->input_count + file->output_count; i++)
    if (file->graph[i] == tensor) return 1;
  return 0;
}

static int is_planned(const lw_arena_plan *plan, uint32_t tensor) {
  return tensor < plan->count && plan->lives[tensor].bytes != 0;  // external tensors have no bytes here
}

static void find_lives(const lw_file *file, lw_arena_plan *plan) {
  for (uint32_t t = 0; t < plan->count; t++) {
    const uint64_t bytes = lw_sat_align(lw_tensor_memory(&file->tensors[t]), LW_LINE);
    plan->lives[t] = (lw_life){t, 0, 0, bytes, 0};
  }
  for (uint32_t i = 0; i < file->input_count + file->output_count; i++)
    if (file->graph[i] < plan->count) plan->lives[file->graph[i]].bytes = 0;
  for (uint32_t i = 0; i < file->op_count; i++) {
    const lw_op_record *op = &file->ops[i];
    for (uint32_t k = 0; k < op->input_count; k++)
      if (op->inputs[k] < plan->count) plan->lives[op->inputs[k]].last = i;
    if (op->output < plan->count) plan->lives[op->output].first = plan->lives[op->output].last = i;
  }
}

static void outlive(lw_arena_plan *plan, uint32_t tensor, uint32_t op) {
  if (tensor < plan->count && plan->lives[tensor].last < op) plan->lives[tensor].last = op;
}

// Operators that run in bands read and write by turns: what the first reads lives as long as the last one runs.
static void extend_lives(const lw_file *file, uint32_t workers, lw_arena_plan *plan) {
  for (uint32_t i = 0; i < file->op_count; i++) {
    const lw_bands bands = lw_bands_of(file, plan, i, workers);
    if (bands.count != 0) outlive(plan, file->ops[i].inputs[0], i + 1);
    if (bands.wide_plane != 0) outlive(plan, file->ops[i - 1].inputs[0], i + 1);
  }
}

// Makes `tensor` part of `root`'s buffer, `offset` bytes into it.
static void adopt(lw_arena_plan *plan, uint32_t tensor, uint32_t root, uint64_t offset) {
  lw_life *child = &plan->lives[tensor], *parent = &plan->lives[root];
  child->root = root;
  child->offset = offset;
  if (child->first < parent->first) parent->first = child->first;
  if (child->last > parent->last) parent->last = child->last;
}

// Joins over whole quads need no copy. The last join comes first, so that joins of joins share one buffer.
static void share_concats(const lw_file *file, lw_arena_plan *plan) {
  for (uint32_t i = file->op_count; i-- > 0;) {
    const lw_op_record *op = &file->ops[i];
    if (op->kind != LW_OP_CONCAT || !is_planned(plan, op->output)) continue;
    const lw_tensor_record *out = &file->tensors[op->output];
    if (out->layout != LW_LAYOUT_QUADS || lw_tensor_pixels(out) == 1) continue;
    const lw_life *result = &plan->lives[op->output];
    uint32_t channel = 0;
    for (uint32_t k = 0; k < op->input_count; k++) {
      const uint32_t t = op->inputs[k], channels = file->tensors[t].dims[1];
      const int whole = channel % LW_QUAD == 0 && (channels % LW_QUAD == 0 || k + 1u == op->input_count);
      const uint64_t offset = channel / LW_QUAD * lw_plane_bytes((size_t)lw_tensor_pixels(out));
      if (whole && is_planned(plan, t) && plan->lives[t].root == t)
        adopt(plan, t, result->root, result->offset + offset);
      channel += channels;
    }
  }
}

static int may_overwrite(uint32_t kind) {
  return kind == LW_OP_ADD || kind == LW_OP_MUL || kind == LW_OP_TABLE || kind == LW_OP_RESHAPE;
}

// The result takes over an operand's buffer when this operator is the last to need anything in it.
static void share_elementwise(const lw_file *file, lw_arena_plan *plan) {
  for (uint32_t i = 0; i < file->op_count; i++) {
    const lw_op_record *op = &file->ops[i];
    const uint32_t out = op->output;
    if (!may_overwrite(op->kind) || !is_planned(plan, out) || plan->lives[out].root != out) continue;
    const uint32_t operands = op->kind == LW_OP_MUL ? 1 : op->input_count;  // the second of mul may be read again
    for (uint32_t k = 0; k < operands; k++) {
      const uint32_t in = op->inputs[k];
      if (!is_planned(plan, in) || plan->lives[in].bytes != plan->lives[out].bytes) continue;
      const uint32_t root = plan->lives[in].root;
      const int whole = plan->lives[root].bytes == plan->lives[in].bytes;
      if (!whole || plan->lives[root].last != i || plan->lives[out].first != i || root == out) continue;
      adopt(plan, out, root, 0);
      break;
    }
  }
}

static int lives_meet(const lw_life *a, const lw_life *b) { return a->first <= b->last && b->first <= a->last; }

// Puts buffer `t` into the tightest gap among the placed buffers that live at the same time (`order`, by offset).
static uint64_t place(lw_arena_plan *plan, uint32_t t, uint16_t *order, uint32_t placed, uint64_t base) {
  lw_life *life = &plan->lives[t];
  uint64_t best = UINT64_MAX, best_gap = UINT64_MAX, end = base;
  for (uint32_t k = 0; k < placed; k++) {
    const lw_life *other = &plan->lives[order[k]];
    if (!lives_meet(life, other)) continue;
    if (other->offset > end && other->offset - end >= life->bytes && other->offset - end < best_gap) {
      best = end;
      best_gap = other->offset - end;
    }
    if (other->offset + other->bytes > end) end = other->offset + other->bytes;
  }
  life->offset = best != UINT64_MAX ? best : end;
  uint32_t at = placed;
  for (; at > 0 && plan->lives[order[at - 1]].offset > life->offset; at--) order[at] = order[at - 1];
  order[at] = (uint16_t)t;
  return life->offset + life->bytes;
}

// Largest not yet placed buffer of `dtype` that is a root and not larger than `below`; ties by index.
static uint32_t next_largest(const lw_file *file, const lw_arena_plan *plan, uint32_t dtype, uint64_t below,
                             uint32_t after) {
  uint32_t best = LW_NO_TENSOR;
  for (uint32_t t = 0; t < plan->count; t++) {
    const lw_life *life = &plan->lives[t];
    if (life->bytes == 0 || life->root != t || file->tensors[t].dtype != dtype) continue;
    if (life->bytes > below || (life->bytes == below && t <= after && after != LW_NO_TENSOR)) continue;
    if (best == LW_NO_TENSOR || life->bytes > plan->lives[best].bytes) best = t;
  }
  return best;
}

static uint64_t place_all(const lw_file *file, lw_arena_plan *plan, uint32_t dtype, uint64_t base) {
  uint16_t order[LW_MAX_PLANNED];
  uint64_t end = base, below = UINT64_MAX;
  uint32_t placed = 0, t = LW_NO_TENSOR;
  while ((t = next_largest(file, plan, dtype, below, t)) != LW_NO_TENSOR) {
    below = plan->lives[t].bytes;
    const uint64_t reach = place(plan, t, order, placed++, base);
    if (reach > end) end = reach;
  }
  return end;
}

void lw_plan_arena(const lw_file *file, uint32_t workers, lw_arena_plan *plan) {
  plan->count = file->tensor_count < LW_MAX_PLANNED ? file->tensor_count : LW_MAX_PLANNED;
  find_lives(file, plan);
  extend_lives(file, workers, plan);
  share_concats(file, plan);
  share_elementwise(file, plan);
  const uint64_t small_end = place_all(file, plan, LW_DTYPE_U7, 0);
  plan->shared_bytes = place_all(file, plan, LW_DTYPE_F32, small_end);
  plan->arena_bytes = plan->shared_bytes;
  for (uint32_t t = plan->count; t < file->tensor_count; t++)
    if (!lw_tensor_is_external(file, t))
      plan->arena_bytes = lw_sat_add(plan->arena_bytes, lw_sat_align(lw_tensor_memory(&file->tensors[t]), LW_LINE));
}
