// Between floats and u7, and the float operators.
#include "../reference/lw_reference.h"
#include "lw_internal.h"

static float *floats(const lw_place *place) { return (float *)(void *)place->data; }

static void quantize_task(void *argument, uint32_t quad, uint32_t worker) {
  const lw_call *call = argument;
  const size_t pixels = (size_t)lw_tensor_pixels(call->output);
  uint32_t nan = 0;
  lw_quantize_args args = {.pixels = pixels,
                           .inverse_scale = lw_attribute_f32(call->plan->record, LW_QUANTIZE_INVERSE_SCALE),
                           .zero_point = (int32_t)call->output->zero_point,
                           .output = call->to->data + quad * call->to->plane,
                           .nan = &nan};
  for (uint32_t c = 0; c < LW_QUAD; c++)
    if (quad * LW_QUAD + c < call->output->dims[1])
      args.channel[c] = floats(call->from) + (quad * LW_QUAD + c) * pixels;
  call->plan->kernel->function(&args);
  if (nan != 0) atomic_store_explicit(&call->model->found_nan, 1, memory_order_relaxed);
  (void)worker;
}

void lw_run_quantize(lw_call *call) {
  if (call->output->layout == LW_LAYOUT_QUADS) {
    lw_split(call, quantize_task, lw_call_quads(call->output));
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
