"""Operators that only move values: concat, pad, reshape, transpose; and softmax, which stays float32."""

from __future__ import annotations

from lacewing.converter.ir import Node
from lacewing.converter.lowering.builder import Builder, quads_dims
from lacewing.format.description import MAX_INPUTS


def lower_concat(builder: Builder, node: Node) -> None:
    """concat in quads along channels, else row-major; more inputs than an operator takes are joined in steps."""
    axis = int(node.attrs["axis"]) % len(builder.dims(node.output))
    if builder.plan.is_float(node.output):
        form, inputs = "f32_plain", [builder.f32_plain(v) for v in node.inputs]
    else:
        quads = axis == 1 and len(builder.dims(node.output)) == 4
        form, read = ("u7_quads", builder.u7_quads) if quads else ("u7_plain", builder.u7_plain)
        q = builder.quantization(node.output)
        inputs = [builder.rescaled(read(v), q) for v in node.inputs]
    while len(inputs) > MAX_INPUTS:
        inputs = [_joined(builder, node, inputs[:MAX_INPUTS], axis), *inputs[MAX_INPUTS:]]
    builder.op("concat", node.name, inputs, builder.result(node.output, form), {"axis": axis})


def _joined(builder: Builder, node: Node, inputs: list[int], axis: int) -> int:
    tensors = [builder.model.tensors[i] for i in inputs]
    dims = list(tensors[0].dims)
    dims[axis] = sum(t.dims[axis] for t in tensors)
    q = None if tensors[0].dtype == "f32" else builder.quantization(node.output)
    part = builder.tensor(f"{node.output} part", tensors[0].dtype, tensors[0].layout, tuple(dims), q)
    builder.op("concat", f"{node.name} part", inputs, part, {"axis": axis})
    return part


def lower_pad(builder: Builder, node: Node) -> None:
    """Spatial padding with real zero."""
    pads = node.attrs["pads"]
    attributes: dict[str, float | int] = {
        f"pad_{side}": int(p) for side, p in zip(("top", "left", "bottom", "right"), pads, strict=True)
    }
    tensor = builder.rescaled(builder.u7_quads(node.inputs[0]), builder.quantization(node.output))
    builder.op("pad", node.name, [tensor], builder.result(node.output, "u7_quads"), attributes)


def lower_reshape(builder: Builder, node: Node) -> None:
    """reshape; between [1,C,1,1] and [1,C] quads need none."""
    source, target = node.inputs[0], node.output
    same = quads_dims(builder.dims(source)) == quads_dims(builder.dims(target)) is not None
    if same and builder.has(source, "u7_quads") and not builder.plan.is_float(target):
        tensor = builder.rescaled(builder.u7_quads(source), builder.quantization(target))
        builder.alias(target, "u7_quads", tensor)
        return
    tensor, form = _plain(builder, node)
    builder.op("reshape", node.name, [tensor], builder.result(target, form))


def lower_transpose(builder: Builder, node: Node) -> None:
    """transpose of a row-major value."""
    perm = [int(p) for p in node.attrs["perm"]]
    tensor, form = _plain(builder, node)
    slots = perm + [0] * (4 - len(perm))
    attributes: dict[str, float | int] = {f"perm{i}": p for i, p in enumerate(slots)}
    builder.op("transpose", node.name, [tensor], builder.result(node.output, form), attributes)


def lower_softmax(builder: Builder, node: Node) -> None:
    """softmax over the last axis; any other axis is brought there and back."""
    tensor = builder.f32_plain(node.inputs[0])
    dims = builder.dims(node.output)
    axis = int(node.attrs.get("axis", -1)) % len(dims)
    if axis == len(dims) - 1:
        builder.op("softmax", node.name, [tensor], builder.result(node.output, "f32_plain"))
        return
    perm = list(range(len(dims)))
    perm[axis], perm[-1] = perm[-1], perm[axis]
    turned = tuple(dims[p] for p in perm)
    slots: dict[str, float | int] = {f"perm{i}": p for i, p in enumerate(perm + [0] * (4 - len(perm)))}
    last = builder.tensor(f"{node.output} axis last", "f32", "plain", turned)
    soft = builder.tensor(f"{node.output} softmax", "f32", "plain", turned)
    builder.op("transpose", f"{node.name} axis last", [tensor], last, slots)
    builder.op("softmax", node.name, [last], soft)
    builder.op("transpose", f"{node.name} axis back", [soft], builder.result(node.output, "f32_plain"), slots)


def _plain(builder: Builder, node: Node) -> tuple[int, str]:
    if builder.plan.is_float(node.output):
        return builder.f32_plain(node.inputs[0]), "f32_plain"
    tensor = builder.u7_plain(node.inputs[0])
    return builder.rescaled(tensor, builder.quantization(node.output)), "u7_plain"
