"""Block pruning: exact least squares, budgets, what stays dense and why."""

import numpy as np
import pytest
from graphs import conv, residual_network, samples
from hypothesis import given, settings
from hypothesis import strategies as st

from lacewing.converter.errors import OptionError
from lacewing.converter.ir import Graph, Node
from lacewing.converter.lowering.blocks import from_blocks, occupied, to_blocks
from lacewing.converter.options import ConvertOptions, LayerChoice
from lacewing.converter.quantization.layerwise import run_node, stack
from lacewing.converter.quantization.plan import LayerPlan
from lacewing.converter.sparsity import moments, obs
from lacewing.converter.sparsity.budget import LayerBudget, plan_budget
from lacewing.converter.sparsity.columns import from_columns, to_columns
from lacewing.converter.sparsity.prune import cheapest, prune_layer, row_factors, spared
from lacewing.converter.sparsity.repair import masked_least_squares


def correlated(k, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(500, k)) @ rng.normal(size=(k, k))
    return x.T @ x / 500


def damped(hessian):
    return hessian + np.eye(len(hessian)) * obs.DAMPING * np.diag(hessian).mean()


def error(weight, target, hessian):
    difference = weight - target
    return np.einsum("ok,kl,ol->", difference, hessian, difference)


def gemm(weight):
    """[O][K] f32, no bias."""
    tensors = {"weight": weight, "bias": np.zeros(len(weight), np.float32)}
    return Node("gemm", "n", ["x"], "y", {}, tensors)


def exact(target, hessian, mask):
    result = np.zeros_like(target)
    for row, keep in enumerate(mask):
        result[row, keep] = np.linalg.solve(hessian[np.ix_(keep, keep)], hessian[keep] @ target[row])
    return result


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.sampled_from([1, 2, 4, 8]))
@settings(max_examples=30)
def test_blocks_and_columns_come_back(o, c, k, rows):
    weight = np.random.default_rng(o * 100 + c).normal(size=(o, c, k, k))
    np.testing.assert_array_equal(from_blocks(to_blocks(weight, rows), weight.shape), weight)
    np.testing.assert_array_equal(from_columns(to_columns(weight), weight.shape), weight)


def test_columns_stand_in_the_order_of_the_blocks():
    weight = np.random.default_rng(0).normal(size=(4, 6, 3, 3))
    flat = to_columns(weight).reshape(1, 4, -1, 4).transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(flat, to_blocks(weight, 4))


@pytest.mark.parametrize(("rows", "columns"), [(1, 4), (2, 4), (4, 4), (8, 4), (4, 8)])
def test_elimination_is_the_exact_masked_least_squares(rows, columns):
    hessian = correlated(32)
    target = np.random.default_rng(1).normal(size=(16, 32))
    drops = np.arange(16 // rows) % (32 // columns - 1)
    weight, keep = obs.prune(target, obs.inverse_moment(hessian), drops, obs.Block(rows, columns))
    np.testing.assert_array_equal((~keep).sum(axis=1), drops)
    mask = np.repeat(np.repeat(keep, rows, axis=0), columns, axis=1)
    assert np.all(weight[~mask] == 0)
    best = error(exact(target, damped(hessian), mask), target, damped(hessian))
    assert error(weight, target, damped(hessian)) <= best * 1.01 + 1e-6


def test_chosen_blocks_beat_random_ones_and_repair_beats_none():
    hessian = correlated(64)
    target = np.random.default_rng(1).normal(size=(8, 64))
    weight, keep = obs.prune(target, obs.inverse_moment(hessian), np.full(4, 8), obs.Block(2, 4))
    mask = np.repeat(np.repeat(keep, 2, axis=0), 4, axis=1)
    chosen = error(weight, target, hessian)
    assert chosen < 0.7 * error(target * mask, target, hessian)
    shuffled = np.random.default_rng(2).permuted(keep, axis=1)
    random = exact(target, damped(hessian), np.repeat(np.repeat(shuffled, 2, axis=0), 4, axis=1))
    assert chosen < error(random, target, hessian)


def test_conjugate_gradients_reach_the_exact_solution():
    hessian = damped(correlated(24))
    rng = np.random.default_rng(0)
    target, mask = rng.normal(size=(6, 24)), rng.random((6, 24)) < 0.5
    got = masked_least_squares(target, hessian, mask)
    best = error(exact(target, hessian, mask), target, hessian)
    assert np.all(got[~mask] == 0)
    assert error(got, target, hessian) <= best * 1.05


def test_block_score_is_the_error_of_dropping_it():
    hessian = correlated(16)
    target = np.random.default_rng(0).normal(size=(4, 16))
    score = obs.block_scores(target, obs.inverse_moment(hessian), obs.Block(4, 4))[0, 2]
    mask = np.ones((4, 16), bool)
    mask[:, 8:12] = False
    wanted = error(exact(target, damped(hessian), mask), target, damped(hessian))
    assert score == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("kernel", [1, 3])
def test_moments_match_the_convolution(kernel):
    rng = np.random.default_rng(0)
    shapes = {"x": (1, 6, 5, 5)}
    node = conv(rng, shapes, "y", "x", 4, kernel=kernel, pads=(kernel // 2,) * 4, strides=(2, 2))
    node.weights["bias"][:] = 0
    graph = Graph("g", ["x"], ["y"], [node], shapes)
    x = rng.normal(size=(1500, 6, 5, 5)).astype(np.float32)
    seen = moments.collect(node, x, x, rng)
    y = run_node(graph, node, {"x": x})
    columns = to_columns(node.weights["weight"])
    variance = np.einsum("ok,kl,ol->o", columns, seen.hessian, columns)
    np.testing.assert_allclose(variance, y.var(axis=(0, 2, 3)), rtol=0.02)


def test_few_patches_leave_mostly_the_diagonal():
    rng = np.random.default_rng(0)
    node = gemm(np.ones((4, 40), np.float32))
    seen = moments.collect(node, *([rng.normal(size=(4, 40)).astype(np.float32)] * 2), rng)
    power = np.diag(seen.hessian)
    strength = np.abs(seen.hessian - np.diag(power)).max() / power.max()
    assert strength < 0.1
    np.testing.assert_array_equal(seen.hessian, seen.cross)


def test_pruned_layer_has_the_asked_share_and_repairs_its_output():
    rng = np.random.default_rng(0)
    shapes = {"x": (1, 16, 8, 8)}
    node = conv(rng, shapes, "y", "x", 16)
    graph = Graph("g", ["x"], ["y"], [node], shapes)
    mixing = rng.normal(size=(16, 16))
    x = np.einsum("ncij,cd->ndij", rng.normal(size=(16, 16, 8, 8)), mixing).astype(np.float32)
    layer = LayerPlan(node.weights["weight"].copy(), node.weights["bias"].astype(np.float64))
    prune_layer(node, layer, LayerBudget(obs.Block(4, 4), 0.5), x, x, rng)
    assert layer.keep.mean() == pytest.approx(0.5, abs=0.01)
    np.testing.assert_array_equal(occupied(layer.weight, 4), layer.keep)
    wanted = run_node(graph, node, {"x": x})
    masked = from_blocks(to_blocks(node.weights["weight"], 4) * layer.keep[..., None, None], (16, 16, 3, 3))
    errors = []
    for weight in (layer.weight, masked):
        node.weights["weight"] = weight.astype(np.float32)
        errors.append(np.square(run_node(graph, node, {"x": x}) - wanted).mean())
    assert errors[0] < 0.7 * errors[1]


@pytest.mark.parametrize("head", [False, True])
def test_a_weak_class_goes_whole_unless_its_layer_gives_the_answers(head):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(16, 32)).astype(np.float32)
    weight[4:8] *= 1e-3
    node = gemm(weight)
    x = rng.normal(size=(500, 32)).astype(np.float32)
    keep = prune_layer(node, LayerPlan.of(node), LayerBudget(obs.Block(4, 4), 0.5, head=head), x, x, rng)
    assert keep.sum() == 16
    assert keep[1].sum() == head


def quiet_rows_pruned(normalized, rows=1):
    """(pruned plan, weight, x) of a gemm whose last 8 of 16 rows have a quarter of the others' output power."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(16, 32)).astype(np.float32)
    weight[8:] *= 0.5
    node = gemm(weight)
    x = (rng.normal(size=(2000, 32)) @ rng.normal(size=(32, 32))).astype(np.float32)
    layer = LayerPlan.of(node)
    prune_layer(node, layer, LayerBudget(obs.Block(rows, 4), 0.5), x, x, rng, normalized=normalized)
    return layer, weight, x


def test_quiet_rows_keep_more_where_no_batch_norm_makes_them_alike():
    kept = {n: quiet_rows_pruned(n)[0].keep[8:].sum() for n in (False, True)}
    loud = 16 * 8 // 2 - kept[False]
    assert loud > kept[False] > 1.5 * kept[True], kept


@pytest.mark.parametrize("rows", [1, 4])
def test_rows_that_count_alike_are_still_repaired_by_least_squares(rows):
    layer, weight, x = quiet_rows_pruned(False, rows)
    mask = np.repeat(np.repeat(layer.keep, rows, axis=0), 4, axis=1)
    hessian = damped(moments.collect(gemm(weight), x, x, np.random.default_rng(0)).hessian)
    best = exact(weight.astype(np.float64), hessian, mask)
    np.testing.assert_allclose(layer.weight, best, atol=2e-2 * np.abs(weight).max())


@pytest.mark.parametrize("power", [0.0, 1e-30, 1e30])
def test_factors_of_rows_are_finite(power):
    factors = row_factors(np.array([[np.sqrt(power)], [0.0]]), np.eye(1))
    assert np.isfinite(factors).all() and (factors > 0).all()


def test_a_share_that_leaves_too_few_blocks_for_every_row_is_still_met():
    drops = cheapest(spared(np.arange(8.0).reshape(4, 2)), 6)
    np.testing.assert_array_equal(np.flatnonzero(drops), [0, 1, 2, 3, 4, 6])


def budgets(**kwargs):
    graph = residual_network()
    options = ConvertOptions(samples(graph), **kwargs)
    return plan_budget(graph, options, stack(samples(graph), graph, 8), 0)


def test_dense_layers_say_why():
    found = budgets(sparsity=0.5)
    assert found["stem"].reason == "first convolution"
    assert found["dw"].reason == found["grouped"].reason == "grouped or depthwise"
    assert budgets()["wide"].reason == "no sparsity asked for"


@pytest.mark.parametrize("budget", ["global", "uniform"])
def test_budget_meets_the_overall_share(budget):
    found = budgets(sparsity=0.5, budget=budget, block="4x4", profile="x86-avx512vnni")
    blocks = {"project": 4 * 4, "wide": 8 * 8 * 9, "logits4": 3 * 8}
    gone = sum(found[name].share * count for name, count in blocks.items())
    assert 0.47 <= gone / sum(blocks.values()) <= (0.53 if budget == "uniform" else 0.75)
    assert {found[name].block for name in blocks if found[name].share} == {obs.Block(4, 4)}


def test_share_that_does_not_pay_stays_dense():
    found = budgets(sparsity=0.02, budget="uniform", profile="x86-avx2")["wide"]
    assert found.share == 0
    assert "dense is faster, or as fast, on x86-avx2" in found.reason


def test_heads_are_the_layers_that_no_other_follows():
    graph = residual_network()
    found = budgets(sparsity=0.5)
    assert [name for name, budget in found.items() if budget.head] == ["logits4"]
    last = next(n for n in graph.nodes if n.name == "logits4")
    graph.outputs.append(last.inputs[0])  # another output, that a pool computes
    second = plan_budget(
        graph, ConvertOptions(samples(graph), sparsity=0.5), stack(samples(graph), graph, 8), 0
    )
    assert "logits4" in {name for name, budget in second.items() if budget.head} > {"logits4"}


def test_layer_choice_overrides_and_unknown_names_are_refused():
    assert budgets(layers={"wide": LayerChoice("8x4", 0.25)})["wide"] == LayerBudget(obs.Block(8, 4), 0.25)
    with pytest.raises(OptionError, match="no such layer"):
        budgets(layers={"wider": LayerChoice("8x4", 0.25)})
    with pytest.raises(OptionError, match="grouped"):
        budgets(layers={"dw": LayerChoice("4x4", 0.25)})


@pytest.mark.parametrize(
    "bad",
    [
        {"sparsity": 1.0},
        {"sparsity": -0.1},
        {"sparsity": float("nan")},
        {"block": "3x4"},
        {"budget": "fair"},
        {"ranges": "all"},
        {"calibration_count": 0},
        {"layers": {"wide": LayerChoice("4x4", 2.0)}},
        {"layers": {"wide": LayerChoice("4x5", 0.5)}},
    ],
)
def test_options_that_make_no_sense_are_refused(bad):
    with pytest.raises(OptionError):
        ConvertOptions([], **bad)
