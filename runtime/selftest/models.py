"""The models of the self-test: between them every operator, every block size, dense and sparse."""

from __future__ import annotations

from collections.abc import Callable

from lacewing.format import Model
from lacewing.selftest.builder import Builder


def classifier() -> Model:
    """Like a MobileNet: a dense stem, depthwise and sparse pointwise convolutions, a float head."""
    b = Builder(1)
    x = b.conv(b.image(3, 33), 18, 3, 2, 4, 0.0)
    for block, sparsity, channels in ((1, 0.6, 22), (2, 0.5, 40), (4, 0.75, 40), (8, 0.4, 66)):
        x = b.conv(b.depthwise(x, 3, 2 if block == 8 else 1), channels, 1, 1, block, sparsity)
    y = b.conv(b.depthwise(x, 5, 1), 66, 1, 1, 2, 0.8)
    x = b.pool(b.add(x, y), 9, 9)
    logits = b.conv(x, 21, 1, 1, 1, 0.5, head=True)
    b.output(b.softmax(b.reshape(logits, (1, 21))))
    b.output(logits)
    return b.model


def detector() -> Model:
    """Branches and moves: 3x3 sparse convolutions, pools, concat, resize, pad, gates, plain heads."""
    b = Builder(3)
    x = b.conv(b.image(4, 29), 14, 3, 1, 2, 0.7)
    low = b.pool(x, 3, 2, (1, 1, 1, 1), average=False)
    low = b.conv(low, 24, 3, 1, 8, 0.9)
    gate = b.table(b.conv(b.pool(low, 15, 15), 24, 1, 1, 4, 0.5), per_channel=False)
    low = b.table(b.mul(low, gate), per_channel=True)
    up = b.resize(low, 29, bilinear=True)
    both = b.concat(up, b.resize(low, 29, bilinear=False))
    both = b.pool(b.pad(both, (1, 0, 2, 3)), 3, 2, (0, 1, 1, 0))
    both = b.mul(both, both)
    boxes = b.transpose(b.plain(b.conv(both, 10, 3, 1, 1, 0.3)), (0, 2, 3, 1))
    height, width = b.model.tensors[boxes].dims[1:3]
    b.output(b.dequantize(b.reshape(boxes, (1, height * width, 10))))
    b.output(b.plain(low))
    b.output(b.conv(b.depthwise(both, 3, 2), 7, 1, 1, 8, 0.0, head=True))
    return b.model


MODELS: dict[str, Callable[[], Model]] = {"classifier": classifier, "detector": detector}
