"""Whole channels gone: the network that is left, what it costs, and when it is preferred to blocks."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from graphs import NETWORKS, POINT, RELU, Builder, samples, separable

from lacewing.converter.calibration import open_dataset
from lacewing.converter.convert import quantize_graph
from lacewing.converter.errors import OptionError, OutOfReach
from lacewing.converter.execute import Executor
from lacewing.converter.lowering.blocks import occupied, smallest_block_rows
from lacewing.converter.options import ConvertOptions, LayerChoice
from lacewing.converter.passes import run_passes
from lacewing.converter.progress import silent
from lacewing.converter.quantization.layerwise import stack
from lacewing.converter.sparsity.budget import REACH, LayerBudget, device_profile, plan_budget
from lacewing.converter.sparsity.channel_pruning import CHANNEL_WEIGHT, Pruning, plan_pruning
from lacewing.converter.sparsity.obs import Block
from lacewing.converter.sparsity.permutation_sets import is_dense, permutation_sets, permute
from lacewing.converter.sparsity.prices import Prices
from lacewing.converter.sparsity.rearrange import rearrange_for
from lacewing.converter.sparsity.without_channels import without_channels
from lacewing.converter.training.distillation import Distillation, answers_of, inner_values
from lacewing.converter.training.network import Network
from lacewing.converter.training.recipe import Recipe

PROFILE = "x86-avx512vnni"


def canonical(graph):
    return run_passes(deepcopy(graph))


def microseconds(graph):
    """Predicted for ``graph`` without sparsity."""
    prices = Prices(canonical(graph), device_profile(ConvertOptions([], profile=PROFILE)))
    layers = [n.name for n in canonical(graph).nodes if n.op in ("conv", "gemm")]
    return (prices.rest.nanoseconds + sum(prices.dense(n).nanoseconds for n in layers)) / 1e3


def options(graph, **told):
    return ConvertOptions(samples(graph), profile=PROFILE, **told)


def planned(graph, part=None, **told):
    """For ``part`` of the time of ``graph``."""
    if part is not None:
        told["latency"] = part * microseconds(graph) / 1e3
    return plan_pruning(graph, canonical, options(graph, **told), stack(samples(graph), graph, 8), REACH)


def some_gone(graph, seed):
    """Of every set a random part: value -> the places that stay."""
    rng = np.random.default_rng(seed)
    stay = {}
    for moving in permutation_sets(graph):
        gone = rng.choice(moving.size, moving.size // 3, replace=False)
        for value, places in moving.places.items():
            mask = stay.setdefault(value, np.ones(graph.shapes[value][1], bool))
            mask[places[:, gone]] = False
    return {value: np.flatnonzero(mask) for value, mask in stay.items()}


def unread(graph, kept):
    """The same network with nothing read of the channels that ``kept`` leaves out."""
    result = deepcopy(graph)
    for node in result.nodes:
        if is_dense(node) and node.inputs[0] in kept:
            gone = np.setdiff1d(np.arange(graph.shapes[node.inputs[0]][1]), kept[node.inputs[0]])
            node.weights["weight"][:, gone] = 0
    return result


def assert_same(graph, other, tolerance=1e-5):
    sample = samples(graph)[0]
    wanted, got = Executor(graph).run(sample), Executor(other).run(sample)
    for value, array in wanted.items():
        atol = tolerance * np.abs(array).max()
        np.testing.assert_allclose(got[value], array, rtol=0, atol=atol, err_msg=value)


@pytest.mark.parametrize("form", ["raw", "canonical"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seed", range(2))
def test_a_network_without_channels_is_one_that_reads_none_of_them(name, seed, form):
    graph = NETWORKS[name](seed) if form == "raw" else canonical(NETWORKS[name](seed))
    kept = some_gone(graph, seed)
    assert kept
    narrower = permute(graph, kept)
    for value, channels in kept.items():
        assert narrower.shapes[value][1] == len(channels) < graph.shapes[value][1]
    assert_same(unread(graph, kept), narrower)
    assert_same(narrower, canonical(narrower))


def twins(repeated, seed=0):
    """A layer whose input channels come ``repeated`` times over, in a network with a depthwise layer."""
    b = Builder(seed)
    stem = b.conv("stem", "x", 32, clip=RELU, **POINT)
    deep = b.conv("dw", stem, 32, groups=32, clip=RELU)
    graph = b.graph(b.conv("head", deep, 16, **POINT))
    for node in graph.nodes[:2]:
        for array in node.weights.values():
            array[:] = np.tile(array[: 32 // repeated], (repeated,) + (1,) * (array.ndim - 1))
    return graph


def test_channels_that_others_make_up_for_go_without_loss():
    graph = twins(repeated=2)
    kept = {v: np.arange(16) for v in ("stem", "dw")}
    inputs = stack(samples(graph, 64), graph, 64)
    narrower, error = without_channels(graph, kept, inputs, 0)
    assert error < 0.02  # shrunk and damped moments keep it from zero
    assert_same(graph, narrower, tolerance=0.05)


def deepwise(seed=0, width=64):
    """Most of the time is a depthwise layer's, which blocks cannot touch; half of its channels are hardly read."""
    b = Builder(seed, size=32)
    wide = b.conv("expand", b.conv("stem", "x", 16, clip=RELU), width, clip=RELU, **POINT)
    for i in range(3):
        wide = b.conv(f"dw{i}", wide, width, groups=width, clip=RELU)
    graph = b.graph(b.conv("project", wide, 16, **POINT))
    graph.nodes[-1].weights["weight"][:, width // 2 :] *= 1e-3
    return graph


def test_the_error_is_what_the_reader_loses_and_repair_lessens_it():
    graph = deepwise()
    (moving,) = (s for s in permutation_sets(graph) if "dw2" in s.places)
    channels = np.sort(np.random.default_rng(0).choice(moving.size, 48, replace=False))
    kept = dict.fromkeys(moving.places, channels)
    inputs = stack(samples(graph, 16), graph, 16)
    narrower, error = without_channels(graph, kept, inputs, 0)
    wanted, repaired, plain = (
        _centred(Executor(network).run(inputs)["project"])
        for network in (graph, narrower, permute(graph, kept))
    )
    lost, unrepaired = (np.square(wanted - y).sum() / np.square(wanted).sum() for y in (repaired, plain))
    print(f"lost {lost:.4f}, foreseen {error:.4f}, unrepaired {unrepaired:.4f}")
    assert lost == pytest.approx(error, rel=0.1)
    assert lost < unrepaired


def _centred(array):
    return array - array.mean(axis=(0, *range(2, array.ndim)), keepdims=True)


def test_channels_meet_a_time_that_blocks_cannot():
    graph = deepwise()
    latency = 0.7 * microseconds(graph) / 1e3
    told = options(graph, latency=latency)
    with pytest.raises(OutOfReach):
        plan_budget(canonical(graph), told, stack(samples(graph), graph, 8), 0)
    found = planned(graph, 0.7)
    assert len(found.kept["expand"]) == len(found.kept["dw2"]) < 64
    assert set(found.kept["expand"]) >= set(range(32))  # the ones that are read
    assert microseconds(found.graph) <= 0.72 * microseconds(graph)


@pytest.mark.parametrize("part", [0.95, 0.85, 0.75])
def test_limits_are_met_with_no_more_error_than_by_blocks_alone(part):
    graph = separable(c=32)
    told = options(graph, latency=part * microseconds(graph) / 1e3)
    inputs = stack(samples(graph), graph, 8)
    found = plan_pruning(graph, canonical, told, inputs, REACH)
    plain = plan_budget(canonical(graph), told, inputs, 0)
    _, lost = without_channels(graph, found.kept, inputs, 0)
    assert CHANNEL_WEIGHT * lost + sum(b.error for b in found.budgets.values()) <= sum(
        b.error for b in plain.values()
    )
    prices = Prices(canonical(found.graph), device_profile(told))
    total = prices.rest.nanoseconds
    for name, budget in found.budgets.items():
        price = prices.pruned(name, budget.block, budget.share) if budget.share else prices.dense(name)
        total += price.nanoseconds
    assert total <= told.latency * 1e6 * (1 + 1e-6)


@pytest.mark.parametrize("told", [{"block": "4x4"}, {}, {"layers": {"project": LayerChoice("4x4", 0.0)}}])
def test_channels_stay_where_blocks_or_layers_were_named(told):
    graph = deepwise()
    kept = planned(graph, 0.97, **told).kept  # blocks of one size can do that, too
    assert bool(kept) == (told == {}), kept


@pytest.mark.parametrize("told", [{"sparsity": 0.5}, {"latency": 1.0}, {"size": 1e6}, {}])
def test_channels_stay_where_no_limit_is_exceeded(told):
    graph = deepwise()
    found = planned(graph, **told)
    assert found.kept == {}
    assert found.graph.shapes == graph.shapes


def test_a_limit_on_bytes_takes_channels_too():
    graph = deepwise(width=96)
    inputs = stack(samples(graph), graph, 8)
    prices = Prices(canonical(graph), device_profile(options(graph)))
    whole = prices.rest.bytes + sum(prices.dense(n.name).bytes for n in canonical(graph).nodes)
    found = plan_pruning(graph, canonical, options(graph, size=0.8 * whole / 1024), inputs, REACH)
    assert found.kept


def test_what_even_channels_cannot_meet_is_refused_and_unknown_layers_at_once():
    with pytest.raises(OutOfReach, match="the least found is"):
        planned(deepwise(), 0.01)
    graph = deepwise()
    with pytest.raises(OptionError, match="no such layer"):
        planned(graph, 0.7, layers={"nowhere": LayerChoice("4x4", 0.5)})


def selecting_first_half():
    """A conv that selects the first 32 of 64 channels, between two that may be pruned."""
    b = Builder(0, size=16)
    wide = b.conv("wide", b.conv("stem", "x", 32, **POINT), 64, **POINT)
    picked = b.conv("pick", wide, 32, fixed=True, **POINT)
    b.nodes[-1].weights = {
        "weight": np.eye(64, dtype=np.float32)[:32, :, None, None],
        "bias": np.zeros(32, np.float32),
    }
    return b.graph(b.conv("y", picked, 64, **POINT))


@pytest.mark.parametrize("limited", [True, False])
def test_under_a_limit_a_selection_is_stored_in_no_more_blocks(limited):
    """It was priced as it came."""
    graph = selecting_first_half()
    told = options(graph, block="2x4", **({"latency": 1.0} if limited else {"sparsity": 0.5}))
    inputs = stack(samples(graph), graph, 8)
    budgets = {name: LayerBudget(Block(2, 4), 0.5) for name in ("wide", "y")}
    moved = rearrange_for(graph, budgets, inputs, told)
    pick = {n.name: n for n in moved.apply(graph).nodes}["pick"].weights["weight"]
    whole = smallest_block_rows(pick) == 4 and occupied(pick, 4).sum() == 8
    assert whole == limited


def test_a_selection_is_told_nothing():
    graph = selecting_first_half()
    with pytest.raises(OptionError, match="--layer pick: selects channels"):
        planned(graph, layers={"pick": LayerChoice("4x4", 0.5)})
    with pytest.raises(OptionError, match="no such layer; there are stem, wide, y"):
        planned(graph, layers={"nowhere": LayerChoice("4x4", 0.5)})


def test_selections_and_flattened_maps_keep_their_channels():
    b = Builder(0, size=16)
    picked = b.conv("pick", b.conv("stem", "x", 16, **POINT), 16, fixed=True, **POINT)
    flat = b.op("reshape", "flat", picked, shape=(1, 16 * 256))
    graph = b.graph(b.gemm("y", flat, 8))
    found = planned(graph, 0.9)
    assert any(budget.share for budget in found.budgets.values())
    assert found.kept == {}


def test_conversion_without_training_takes_channels_and_says_which():
    graph = canonical(deepwise())
    told = options(graph, latency=0.7 * microseconds(graph) / 1e3)
    dataset = open_dataset(told.calibration, {"x": graph.shapes["x"]})
    made = quantize_graph(deepcopy(graph), dataset, told, silent)
    before, after = made.narrowed["dw0"]
    assert before == 64 > after == made.graph.shapes["dw0"][1]
    assert set(made.narrowed) == {"expand", "dw0", "dw1", "dw2"}
    assert made.sqnr["project"] > 15


def test_the_teacher_compares_the_channels_that_the_student_has():
    graph = separable()
    kept = some_gone(graph, 1)
    rng = np.random.default_rng(0)
    orders = {v: rng.permutation(len(channels)) for v, channels in kept.items()}
    places = Pruning(graph, {}, kept).places(orders)
    values = inner_values(graph)
    teacher = Distillation(Network(graph), answers_of(graph, graph), values, places, Recipe([0], answers=0))
    inputs = {"x": torch.from_numpy(samples(graph)[0]["x"])}
    with torch.no_grad():
        full = Network(graph).eval()(inputs, dict.fromkeys(values, len(inputs["x"])))
    student = {v: full[v][:, torch.from_numpy(places[v])] if v in places else full[v] for v in full}
    assert set(places) & set(values)
    assert teacher.loss(inputs, student) == 0


def test_the_search_says_how_far_it_is():
    graph, told = deepwise(), []
    limit = options(graph, latency=0.7 * microseconds(graph) / 1e3)
    inputs = stack(samples(graph), graph, 8)
    plan_pruning(
        graph,
        canonical,
        limit,
        inputs,
        REACH,
        lambda stage, share: told.append((stage, share)),
    )
    shares = [share for _, share in told]
    assert {stage for stage, _ in told} == {"channels"}
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
