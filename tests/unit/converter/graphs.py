"""Hand-made float graphs for the converter's tests."""

from __future__ import annotations

import numpy as np

from lacewing.converter.ir import Graph, Node


def conv(
    rng, graph_shapes, name, source, channels, kernel=3, groups=1, pads=(1, 1, 1, 1), strides=(1, 1), **attrs
):
    """Appends the output's shape to ``graph_shapes``; returns the node, its output named like it."""
    _, c, h, w = graph_shapes[source]
    out = [(s + pads[i] + pads[i + 2] - kernel) // strides[i] + 1 for i, s in enumerate((h, w))]
    graph_shapes[name] = (1, channels, *out)
    weight = rng.normal(size=(channels, c // groups, kernel, kernel)) / np.sqrt(c // groups * kernel * kernel)
    return Node(
        "conv",
        name,
        [source],
        name,
        {"strides": strides, "dilations": (1, 1), "pads": pads, "groups": groups, **attrs},
        {"weight": weight.astype(np.float32), "bias": rng.normal(size=channels).astype(np.float32) * 0.1},
        [name],
    )


RELU = (0.0, float("inf"))
RELU6 = (0.0, 6.0)


def residual_network(seed=0):
    """Stem, depthwise, grouped and pointwise convs, residual add, concat, table, pools, a classifier: [1,10]."""
    rng = np.random.default_rng(seed)
    shapes = {"x": (1, 3, 16, 16)}
    shapes |= {
        "sum": (1, 16, 16, 16),
        "swish": (1, 16, 16, 16),
        "both": (1, 32, 16, 16),
        "pool": (1, 32, 8, 8),
    }
    shapes |= {"merged": (1, 32, 8, 8), "mean": (1, 32, 1, 1), "logits4": (1, 10, 1, 1), "logits": (1, 10)}
    nodes = [
        conv(rng, shapes, "stem", "x", 16, clip=RELU),
        conv(rng, shapes, "dw", "stem", 16, groups=16, clip=RELU6),
        conv(rng, shapes, "project", "dw", 16, kernel=1, pads=(0, 0, 0, 0)),
        Node("add", "sum", ["stem", "project"], "sum"),
        conv(rng, shapes, "grouped", "sum", 16, groups=2, clip=RELU),
        Node("unary", "swish", ["sum"], "swish", {"function": "hard_swish"}),
        Node("concat", "both", ["grouped", "swish"], "both", {"axis": 1}),
        Node(
            "max_pool", "pool", ["both"], "pool", {"kernel": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0)}
        ),
        conv(rng, shapes, "wide", "both", 32, strides=(2, 2), clip=RELU),
        Node("add", "merged", ["pool", "wide"], "merged"),
        Node(
            "avg_pool",
            "mean",
            ["merged"],
            "mean",
            {"kernel": (8, 8), "strides": (1, 1), "pads": (0, 0, 0, 0), "include_pad": False},
        ),
        conv(rng, shapes, "logits4", "mean", 10, kernel=1, pads=(0, 0, 0, 0)),
        Node("reshape", "logits", ["logits4"], "logits", {"shape": (1, 10)}),
    ]
    return Graph("residual", ["x"], ["logits"], nodes, shapes)


def single(node, input_shapes, output_shape):
    """A graph of one node."""
    shapes = {**input_shapes, node.output: output_shape}
    return Graph(node.name, list(input_shapes), [node.output], [node], shapes)


def samples(graph, count=8, seed=1):
    """Random calibration samples."""
    rng = np.random.default_rng(seed)
    return [
        {v: rng.normal(size=graph.shapes[v]).astype(np.float32) for v in graph.inputs} for _ in range(count)
    ]


POINT = {"kernel": 1, "pads": (0, 0, 0, 0)}


class Builder:
    """Appends nodes by operator; values are named after their nodes."""

    def __init__(self, seed, channels=5, size=8):
        self.rng = np.random.default_rng(seed)
        self.shapes = {"x": (1, channels, size, size)}
        self.nodes = []

    def conv(self, name, source, channels, **attrs):
        self.nodes.append(conv(self.rng, self.shapes, name, source, channels, **attrs))
        return name

    def op(self, op, name, *sources, shape=None, weights=(), **attrs):
        self.shapes[name] = tuple(shape or self.shapes[sources[0]])
        attrs |= {"shape": shape} if op == "reshape" else {}
        count = self.shapes[name][1]
        arrays = {w: self.rng.uniform(0.5, 1.5, size=count).astype(np.float32) for w in weights}
        self.nodes.append(Node(op, name, list(sources), name, attrs, arrays))
        return name

    def mean(self, name, source):
        _, c, h, w = self.shapes[source]
        window = {"kernel": (h, w), "strides": (1, 1), "pads": (0, 0, 0, 0), "include_pad": False}
        return self.op("avg_pool", name, source, shape=(1, c, 1, 1), **window)

    def gemm(self, name, source, outputs):
        weight = self.rng.normal(size=(outputs, self.shapes[source][1])).astype(np.float32)
        self.shapes[name] = (1, outputs)
        weights = {"weight": weight, "bias": np.ones(outputs, np.float32)}
        self.nodes.append(Node("gemm", name, [source], name, {}, weights))
        return name

    def graph(self, *outputs):
        return Graph("g", ["x"], list(outputs), self.nodes, self.shapes)


def separable(seed=0, c=20):
    """Raw: batch norms and clips stand alone; a depthwise layer inside an inverted bottleneck with a shortcut."""
    b = Builder(seed)
    stem = b.op("clip", "r0", b.conv("stem", "x", c), min=0.0, max=6.0)
    norm = ("scale", "offset", "mean", "variance")
    wide = b.op("batch_norm", "bn1", b.conv("expand", stem, 2 * c, **POINT), weights=norm, epsilon=1e-3)
    deep = b.conv("dw", b.op("clip", "r1", wide, min=0.0, max=6.0), 2 * c, groups=2 * c)
    deep = b.op("prelu", "r2", b.op("affine", "bn2", deep, weights=("scale", "offset")), weights=("slope",))
    narrow = b.op("batch_norm", "bn3", b.conv("project", deep, c, **POINT), weights=norm, epsilon=1e-3)
    total = b.op("add", "sum", stem, narrow)
    flat = b.op("reshape", "flat", b.mean("mean", b.conv("head", total, 2 * c)), shape=(1, 2 * c))
    return b.graph(b.gemm("logits", b.op("clip", "r3", b.gemm("hidden", flat, 32), min=0.0, max=np.inf), 7))


def concats(seed=0, sizes=(6, 13, 9)):
    """Values of odd widths side by side, one of them twice, added to a layer of their common width."""
    b = Builder(seed)
    parts = [b.conv(f"part{i}", "x", n, clip=RELU) for i, n in enumerate(sizes)]
    parts.append(b.op("unary", "swish", parts[1], function="hard_swish"))
    width = sum(sizes) + sizes[1]
    both = b.op("concat", "both", *parts, shape=(1, width, 8, 8), axis=1)
    other = b.conv("other", "x", width)
    total = b.op("add", "sum", other, both, clip=RELU6)
    window = {"kernel": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0)}
    pool = b.op("max_pool", "pool", total, shape=(1, width, 4, 4), **window)
    padded = b.op("pad", "padded", pool, shape=(1, width, 6, 6), pads=(1, 1, 1, 1), value=0.0)
    grown = b.op(
        "resize",
        "grown",
        padded,
        shape=(1, width, 12, 12),
        mode="nearest",
        size=(12, 12),
        coordinates="asymmetric",
        rounding="floor",
    )
    tall = b.op("concat", "tall", grown, grown, shape=(1, width, 24, 12), axis=2)
    turned = b.op("transpose", "turned", tall, shape=(1, width, 12, 24), perm=(0, 1, 3, 2))
    return b.graph(b.conv("end", b.conv("mix", turned, 22, clip=RELU), 8, **POINT))


def gates(seed=0, c=24):
    """Squeeze and excitation, and a PReLU with one slope for all channels."""
    b = Builder(seed)
    trunk = b.op("prelu", "act", b.conv("stem", "x", c))
    b.nodes[-1].weights["slope"] = np.array([0.25], np.float32)
    squeezed = b.conv("squeeze", b.mean("mean", trunk), 10, clip=RELU, **POINT)
    gate = b.op("unary", "gate", b.conv("excite", squeezed, c, **POINT), function="sigmoid")
    return b.graph(b.conv("out", b.op("mul", "gated", trunk, gate), 16))


def recurrent(seed=0, c=16):
    """Layers that read and write the same set of channels; a kernel of even size, whose taps hold odd quads."""
    b = Builder(seed)
    value = b.conv("stem", "x", c, clip=RELU)
    for i in range(3):
        value = b.op("add", f"sum{i}", value, b.conv(f"step{i}", value, c))
    small = b.conv("small", value, 12, kernel=2, pads=(0, 0, 1, 1), clip=RELU)
    return b.graph(b.conv("even", small, 12, kernel=2, pads=(0, 0, 1, 1)))


NETWORKS = {"separable": separable, "concats": concats, "gates": gates, "recurrent": recurrent}
