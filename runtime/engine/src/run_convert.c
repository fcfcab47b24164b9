// Between floats and u7, and the float operators.
#include "../reference/lw_reference.h"
#include "lw_internal.h"

static float *floats(const lw_place *place) { return (float *)(void *)place->data; }

#define PARTS_PER_WORKER 3u
#define LEAST_PIXELS 1024u  // worth a thread

static void quantize_task(void *argument, uint32_t part, uint32_t worker) {
  const lw_call *call = argument;
  const uint32_t quad = part / call->chunks, chunk = part % call->chunks;
  const uint32_t pixels = (uint32_t)lw_tensor_pixels(call->output);
  const uint32_t begin = lw_part_begin(pixels, chunk, call->chunks);
  uint32_t nan = 0;
  lw_quantize_args args = {.pixels = lw_part_begin(pixels, chunk + 1, call->chunks) - begin,
                           .inverse_scale = lw_attribute_f32(call->plan->record, LW_QUANTIZE_INVERSE_SCALE),
                           .zero_point = (int32_t)call->output->zero_point,
                           .output = call->to->data + quad * call->to->plane + (size_t)begin * LW_QUAD,
                           .nan = &nan};
  for (uint32_t c = 0; c < LW_QUAD; c++)
    if (quad * LW_QUAD + c < call->output->dims[1])
      args.channel[c] = floats(call->from) + (size_t)(quad * LW_QUAD + c) * pixels + begin;
  call->plan->kernel->function(&args);
  if (nan != 0) atomic_store_explicit(&call->model->found_nan, 1, memory_order_relaxed);
  (void)worker;
}

void lw_run_quantize(lw_call *call) {
  if (call->output->layout == LW_LAYOUT_QUADS) {
    const uint32_t quads = lw_call_quads(call->output);
    const uint32_t most = (uint32_t)lw_ceil_div((size_t)lw_tensor_pixels(call->output), LEAST_PIXELS);
    call->chunks = lw_cuts(call, PARTS_PER_WORKER, quads, most);
    lw_split(call, quantize_task, quads * call->chunks);
    return;
  }
  uint32_t nan = 0;
  lw_quantize_plain(floats(call->from), call->to->bytes,
                    lw_attribute_f32(call->plan->record, LW_QUANTIZE_INVERSE_SCALE), (int32_t)call->output->zero_point,
                    call->to->data, &nan);
  if (nan != 0) atomic_store_explicit(&call->model->found_nan, 1, memory_order_relaxed);
}

void lw_run_dequantize(lw_call *call) {
  const lw_tensor_record *in = call->input;
  if (in->layout == LW_LAYOUT_QUADS)
    lw_dequantize_quads(call->from->data, call->from->plane, in->dims[1], (size_t)lw_tensor_pixels(in), in->scale,
                        (int32_t)in->zero_point, floats(call->to));
  else
    lw_dequantize_plain(call->from->data, call->from->bytes, in->scale, (int32_t)in->zero_point, floats(call->to));
}

void lw_run_softmax(lw_call *call) {
  const size_t n = call->input->dims[call->input->rank - 1];
  lw_softmax_rows(floats(call->from), (size_t)lw_tensor_elements(call->input) / n, n, floats(call->to));
}
