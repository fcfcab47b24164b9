"""The whole lowering: one function per canonical operator, then the edges, then what nobody reads goes."""

from __future__ import annotations

from collections.abc import Callable

from lacewing.converter.errors import Problem, UnsupportedModelError
from lacewing.converter.ir import Graph, Node
from lacewing.converter.lowering import conv, elementwise, moves, pooling, resize
from lacewing.converter.lowering.builder import Builder
from lacewing.converter.lowering.check import problems
from lacewing.converter.quantization.plan import QuantizationPlan
from lacewing.format.model import Model

LOWERINGS: dict[str, Callable[[Builder, Node], None]] = {
    "conv": conv.lower_conv,
    "gemm": conv.lower_gemm,
    "add": elementwise.lower_add,
    "mul": elementwise.lower_mul,
    "affine": elementwise.lower_table,
    "clip": elementwise.lower_table,
    "unary": elementwise.lower_table,
    "prelu": elementwise.lower_table,
    "avg_pool": pooling.lower_avg_pool,
    "max_pool": pooling.lower_max_pool,
    "concat": moves.lower_concat,
    "pad": moves.lower_pad,
    "resize": resize.lower_resize,
    "softmax": moves.lower_softmax,
    "reshape": moves.lower_reshape,
    "transpose": moves.lower_transpose,
}


def check_supported(graph: Graph) -> None:
    """Raises UnsupportedModelError that lists everything in ``graph`` which the engine cannot run."""
    found: list[Problem] = problems(graph, set(LOWERINGS))
    if found:
        raise UnsupportedModelError(found)


def lower(graph: Graph, plan: QuantizationPlan) -> Model:
    """The file's model for a quantized graph. Raises UnsupportedModelError."""
    check_supported(graph)
    builder = Builder(graph, plan)
    for value in graph.inputs:
        builder.model.inputs.append(builder.result(value, "f32_plain"))
    for node in graph.nodes:
        LOWERINGS[node.op](builder, node)
    for value in graph.outputs:
        tensor = builder.f32_plain(value)
        builder.model.outputs.append(tensor)
    return without_unused(builder.model)


def without_unused(model: Model) -> Model:
    """``model`` without the operators and tensors that no output depends on."""
    needed = set(model.outputs)
    kept = []
    for op in reversed(model.ops):
        if op.output in needed:
            needed.update(op.inputs)
            kept.append(op)
    kept.reverse()
    order = [i for i in range(len(model.tensors)) if i in needed or i in model.inputs]
    index = {old: new for new, old in enumerate(order)}
    for op in kept:
        op.inputs = [index[i] for i in op.inputs]
        op.output = index[op.output]
    return Model(
        [model.tensors[i] for i in order],
        kept,
        [index[i] for i in model.inputs],
        [index[i] for i in model.outputs],
        model.metadata,
    )
