"""Window arithmetic of convolutions and poolings: strides, auto_pad and ceil_mode become explicit padding."""

from __future__ import annotations

from collections.abc import Sequence

from .context import SourceNode, Unsupported

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]  # top, left, bottom, right


def spatial(node: SourceNode, attribute: str) -> Pair:
    """A (height, width) attribute, 1 when left out."""
    values = node.attrs.get(attribute, (1, 1))
    if len(values) != 2 or min(values) < 1:
        raise Unsupported(f"{list(values)} is not two positive values", attribute)
    return int(values[0]), int(values[1])


def explicit_pads(
    node: SourceNode,
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> Pads:
    """Padding that ``pads`` or ``auto_pad`` stands for."""
    auto = node.attrs.get("auto_pad", "NOTSET")
    if auto == "VALID":
        return 0, 0, 0, 0
    if auto == "NOTSET":
        pads = tuple(int(pad) for pad in node.attrs.get("pads", (0, 0, 0, 0)))
        if len(pads) != 4 or min(pads) < 0:
            raise Unsupported(f"{list(pads)} is not four values >= 0", "pads", "crop before the node")
        return pads[0], pads[1], pads[2], pads[3]
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise Unsupported(f"unknown value {auto!r}", "auto_pad")
    before, after = [0, 0], [0, 0]
    for axis in range(2):
        extent = dilations[axis] * (kernel[axis] - 1) + 1
        total = max((-(-size[axis] // strides[axis]) - 1) * strides[axis] + extent - size[axis], 0)
        before[axis] = total // 2 if auto == "SAME_UPPER" else total - total // 2
        after[axis] = total - before[axis]
    return before[0], before[1], after[0], after[1]


def ceil_extension(size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], pads: Pads) -> Pair:
    """Extra (bottom, right) padding with which rounding down gives what ceil_mode asks for.

    A window that would start beyond the image and its leading padding is dropped, as ONNX says.
    """
    extra = [0, 0]
    for axis in range(2):
        padded = size[axis] + pads[axis] + pads[axis + 2]
        count = -(-(padded - kernel[axis]) // strides[axis]) + 1
        if (count - 1) * strides[axis] >= size[axis] + pads[axis]:
            count -= 1
        extra[axis] = max((count - 1) * strides[axis] + kernel[axis] - padded, 0)
    return extra[0], extra[1]
