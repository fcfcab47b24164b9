"""Rearrangement: the same function, the same interface, more saliency in the blocks that stay."""

import numpy as np
import pytest
from graphs import NETWORKS, POINT, RELU, Builder, concats, residual_network, samples, separable

from lacewing.converter.convert import load_graph
from lacewing.converter.errors import OptionError
from lacewing.converter.execute import Executor
from lacewing.converter.lowering.blocks import to_blocks
from lacewing.converter.onnx_import import import_onnx
from lacewing.converter.passes import run_passes
from lacewing.converter.sparsity.columns import from_columns, to_columns
from lacewing.converter.sparsity.obs import Block
from lacewing.converter.sparsity.permutation_sets import is_dense, permutation_sets, permute, value_orders
from lacewing.converter.sparsity.rearrange import rearrange
from lacewing.converter.sparsity.saliency import weight_saliency

BLOCKS = [Block(1, 4), Block(2, 4), Block(4, 4), Block(8, 4), Block(4, 8)]


def layers_of(graph):
    dense = [n for n in graph.nodes if n.op in ("conv", "gemm") and is_dense(n)]
    return [n for n in dense if n.inputs[0] not in graph.inputs]


def fitting(node, block):
    whole = to_columns(node.weights["weight"]).shape[1] % block.columns == 0
    return block if whole else Block(block.rows, 4)


def found(graph, block, share, saliency=None, seed=0):
    layers = layers_of(graph)
    blocks = {n.name: fitting(n, block) for n in layers}
    scores = saliency or weight_saliency(graph, blocks)
    return rearrange(graph, scores, blocks, dict.fromkeys(blocks, share), seed)


def shuffled(graph, seed=0):
    """Every set in random order."""
    rng = np.random.default_rng(seed)
    sets = permutation_sets(graph)
    return permute(graph, value_orders(graph, sets, [rng.permutation(s.size) for s in sets]))


def assert_same_function(graph, other, tolerance=1e-5):
    sample = samples(graph)[0]
    wanted, got = Executor(graph).run(sample), Executor(other).run(sample)
    assert list(wanted) == list(got)
    for value, array in wanted.items():
        np.testing.assert_allclose(
            got[value], array, rtol=0, atol=tolerance * np.abs(array).max(), err_msg=value
        )


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_the_sets_gives_the_same_function(name, seed):
    graph = NETWORKS[name](seed)
    assert permutation_sets(graph)
    other = shuffled(graph, seed)
    changed = [a.name for a, b in zip(graph.nodes, other.nodes, strict=True) if differs(a, b)]
    assert len(changed) > 3, changed
    assert_same_function(graph, other)


def differs(node, other):
    return any(not np.array_equal(array, other.weights[name]) for name, array in node.weights.items())


def test_passes_and_orders_commute():
    graph = separable()
    assert_same_function(graph, run_passes(shuffled(graph)))
    canonical = run_passes(separable())
    assert len(permutation_sets(canonical)) == len(permutation_sets(graph)) == 4
    assert_same_function(graph, shuffled(canonical))


def test_ties_make_sets():
    sets = {frozenset(s.places): s.size for s in permutation_sets(separable())}
    assert sets[frozenset({"stem", "r0", "project", "bn3", "sum"})] == 20
    assert sets[frozenset({"expand", "bn1", "r1", "dw", "bn2", "r2"})] == 40
    assert sets[frozenset({"head", "mean", "flat"})] == 40


def test_a_concat_keeps_its_inputs_apart():
    sets = permutation_sets(concats())
    by_source = {next(iter(s.places)): s for s in sets}
    assert [by_source[f"part{i}"].size for i in range(3)] == [6, 13, 9]
    np.testing.assert_array_equal(by_source["part1"].places["both"], [np.arange(6, 19), np.arange(28, 41)])
    np.testing.assert_array_equal(by_source["part2"].places["other"], [np.arange(19, 28)])


def test_stretches_that_overlap_are_cut_where_they_do():
    b = Builder(0)
    parts = {n: b.conv(n, "x", c) for n, c in (("a", 8), ("b", 12), ("c", 12), ("d", 8))}
    first = b.op("concat", "ab", parts["a"], parts["b"], shape=(1, 20, 8, 8), axis=1)
    second = b.op("concat", "cd", parts["c"], parts["d"], shape=(1, 20, 8, 8), axis=1)
    graph = b.graph(b.conv("y", b.op("add", "sum", first, second), 4))
    assert sorted(s.size for s in permutation_sets(graph)) == [4, 8, 8]
    assert_same_function(graph, shuffled(graph))


def test_grouped_layers_flattened_images_and_softmax_pin():
    assert permutation_sets(residual_network()) == []
    b = Builder(0)
    flat = b.op("reshape", "flat", b.conv("a", "x", 8), shape=(1, 8 * 64))
    soft = b.op("softmax", "soft", b.conv("b", "x", 8), axis=1)
    moved = b.op("transpose", "moved", b.conv("c", "x", 8), shape=(1, 8, 8, 8), perm=(0, 2, 3, 1))
    graph = b.graph(b.gemm("y", flat, 4), b.conv("z", soft, 4), b.conv("w", moved, 4))
    assert permutation_sets(graph) == []


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: f"{b.rows}x{b.columns}")
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_rearranged_network_is_the_same_and_keeps_no_less(name, block, share):
    graph = NETWORKS[name]()
    result = found(graph, block, share)
    assert result.after >= result.before
    assert_same_function(graph, result.apply(graph))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: f"{b.rows}x{b.columns}")
def test_report_says_what_the_rearranged_weights_keep(block):
    graph = separable()
    result = found(graph, block, 0.6)
    assert result.after > result.before
    for network, kept in ((graph, "before"), (result.apply(graph), "after")):
        scores = weight_saliency(network, result.layers)
        for name, layer in result.layers.items():
            wanted = kept_share(scores[name], layer.block, 0.6)
            assert getattr(layer, kept) == pytest.approx(wanted, abs=1e-5), name


def kept_share(saliency, block, share):
    full = saliency if saliency.ndim == 4 else saliency[:, :, None, None]
    quads = to_blocks(full, block.rows).sum(axis=(2, 3))
    blocks = np.sort(quads.reshape(len(quads), -1, block.columns // 4).sum(axis=2), axis=None)
    return blocks[round(share * len(blocks)) :].sum() / blocks.sum()


def test_report_names_sets_and_how_far_they_moved():
    graph = separable()
    result = found(graph, Block(2, 4), 0.5)
    residual = next(s for s in result.sets if "project" in s.layers and "head" in s.layers)
    assert (residual.size, residual.layers) == (20, ("expand", "project", "head"))
    order = result.orders["sum"]
    assert residual.moved == np.sum(order != np.arange(20)) > 0


def test_the_source_graph_stays():
    graph, untouched = separable(), separable()
    found(graph, Block(4, 4), 0.5).apply(graph)
    for node, other in zip(graph.nodes, untouched.nodes, strict=True):
        assert not differs(node, other)


def test_same_seed_same_orders():
    first, second = (found(separable(), Block(2, 4), 0.5, seed=3) for _ in range(2))
    assert first.orders.keys() == second.orders.keys()
    for value, order in first.orders.items():
        np.testing.assert_array_equal(order, second.orders[value])


def planted(block, share, seed=0):
    """An inverted-bottleneck network with a random ``share`` of its blocks zero; no other weight is small."""
    b = Builder(seed, channels=8)
    value = b.conv("stem", "x", 32, clip=RELU)
    for i, width in enumerate((32, 48, 32)):
        value = b.conv(f"mix{i}", value, width, clip=RELU)
        wide = b.conv(f"expand{i}", value, 2 * width, clip=RELU, **POINT)
        deep = b.conv(f"dw{i}", wide, 2 * width, groups=2 * width, clip=RELU)
        value = b.op("add", f"sum{i}", value, b.conv(f"project{i}", deep, width, **POINT))
    graph = b.graph(b.conv("end", value, 16, **POINT))
    for node in layers_of(graph):
        columns = to_columns(node.weights["weight"])
        keep = b.rng.permutation(columns.size // (block.rows * block.columns)) >= 0
        keep[: round(share * len(keep))] = False
        keep = b.rng.permutation(keep).reshape(len(columns) // block.rows, -1)
        mask = np.repeat(np.repeat(keep, block.rows, axis=0), block.columns, axis=1)
        node.weights["weight"] = from_columns(columns * mask, node.weights["weight"].shape)
    return graph


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: f"{b.rows}x{b.columns}")
@pytest.mark.parametrize("share", [0.5, 0.75])
def test_planted_blocks_are_found_again(block, share):
    graph = planted(block, share)
    result = found(shuffled(graph), block, share)
    print(f"{block}, {share}: shuffled {result.before:.3f}, rearranged {result.after:.3f}")
    assert result.after > 0.97
    assert result.after - result.before > 0.9 * (1 - result.before)


def test_saliency_is_the_power_that_weights_add():
    graph = separable()
    inputs = {"x": np.concatenate([s["x"] for s in samples(graph)])}
    value = Executor(graph, ["r2"]).run(inputs)["r2"]
    norm = next(n for n in graph.nodes if n.name == "bn3").weights
    weight = next(n for n in graph.nodes if n.name == "project").weights["weight"]
    rows = norm["scale"] ** 2 / (norm["variance"] + 1e-3)
    wanted = weight**2 * rows.reshape(-1, 1, 1, 1) * value.var(axis=(0, 2, 3)).reshape(1, -1, 1, 1)
    got = weight_saliency(graph, ["project", "hidden"], inputs)
    np.testing.assert_allclose(got["project"], wanted, rtol=1e-3)
    assert got["hidden"].shape == (32, 40)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shares": {"nowhere": 0.5}}, "no such layer"),
        ({"shares": {"dw": 0.5}}, "dense convolutions"),
        ({"shares": {"project": 1.0}}, "share of 1.0"),
        ({"shares": {"project": float("nan")}}, "share of nan"),
        ({"blocks": {}}, "give a block"),
        ({"saliency": {"project": np.ones((20, 40))}}, r"saliency of shape \[20, 40, 1, 1\]"),
        ({"saliency": {"project": np.full((20, 40, 1, 1), -1.0)}}, "negative or not finite"),
        ({"saliency": {"project": np.full((20, 40, 1, 1), np.nan)}}, "negative or not finite"),
        ({"blocks": {"project": Block(4, 16)}}, "narrower block"),
    ],
)
def test_what_cannot_be_rearranged_for_is_refused(change, message):
    graph = separable()
    told = {
        "saliency": {"project": np.ones((20, 40, 1, 1))},
        "blocks": {"project": Block(4, 4)},
        "shares": {"project": 0.5},
    }
    with pytest.raises(OptionError, match=message):
        rearrange(graph, **{**told, **change})


def test_layers_without_weights_that_matter_have_no_say():
    graph = separable()
    for node in layers_of(graph):
        node.weights["weight"][:] = 0
    result = found(graph, Block(2, 4), 0.5)
    assert (result.before, result.after) == (1.0, 1.0)
    assert rearrange(graph, {}, {}, {}).orders == {}


def test_another_graph_is_refused():
    result = found(separable(), Block(2, 4), 0.5)
    with pytest.raises(ValueError, match="another graph"):
        result.apply(run_passes(separable()))


REAL = {
    "mobilenet_v2": "mobilenet_imagenet/float/mobilenet_v2_1.0_224_float.onnx",
    "squeezenet": "squeezenet_imagenet/squeezenet_v1.1_float.onnx",
    "face": "ultralight_face/version-RFB-320_simplified.onnx",
    "face_with_batch_norms": "ultralight_face/version-slim-320_without_postprocessing.onnx",
}


@pytest.mark.needs_data
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("canonical", [False, True], ids=["raw", "canonical"])
def test_real_networks_compute_the_same_in_any_order(name, canonical, data):
    graph = load_graph(data / REAL[name], {}) if canonical else import_onnx(data / REAL[name], {})
    sets = permutation_sets(graph)
    assert len(sets) >= 15
    other = shuffled(graph)
    assert sum(differs(a, b) for a, b in zip(graph.nodes, other.nodes, strict=True)) > 20
    assert_same_function(graph, other, 1e-4)


@pytest.mark.slow
@pytest.mark.needs_data
@pytest.mark.parametrize("name", REAL)
def test_real_networks_keep_more(name, data):
    graph = load_graph(data / REAL[name], {})
    layers = [n for n in layers_of(graph) if n.weights["weight"][0].size >= 16]
    blocks = dict.fromkeys((n.name for n in layers), Block(2, 4))
    result = rearrange(graph, weight_saliency(graph, blocks), blocks, dict.fromkeys(blocks, 0.5))
    print(f"{name}: {result.before:.3f} -> {result.after:.3f}")
    assert result.after > result.before + 0.03
    assert_same_function(graph, result.apply(graph), 1e-4)
