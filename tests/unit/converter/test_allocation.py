"""Which block each layer gets: the solver against brute force, and what the options promise, on hand-made devices."""

from __future__ import annotations

import itertools
import json
import math
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from graphs import RELU, Builder, residual_network, samples

from lacewing import Session
from lacewing.cli import main
from lacewing.converter.convert import convert
from lacewing.converter.errors import OptionError
from lacewing.converter.ir_to_onnx import to_onnx
from lacewing.converter.options import ConvertOptions, LayerChoice
from lacewing.converter.quantization.layerwise import stack
from lacewing.converter.sparsity import obs
from lacewing.converter.sparsity.allocation import Choice, Limits, least, least_error
from lacewing.converter.sparsity.budget import (
    DENSE_IS_FASTER,
    NOT_NEEDED,
    REACH,
    TAUGHT_REACH,
    TRAINED_REACH,
    LayerBudget,
    device_profile,
    plan_budget,
)
from lacewing.converter.sparsity.prices import Prices
from lacewing.converter.sparsity.survey import survey
from lacewing.exit_codes import ExitCode
from lacewing.profiles.errors import ProfileError
from lacewing.profiles.profile import load, to_toml

PRUNABLE = ("project", "wide", "logits4")  # of residual_network


def random_layers(rng, count, each):
    """Layers whose first choice is dense; further ones have errors, times and bytes of their own."""
    layers = []
    for _ in range(count):
        weights, time = rng.uniform(10, 1000), rng.uniform(10, 1000)
        own = [Choice(None, 0.0, 0.0, time, int(weights), 0.0)]
        for _ in range(each - 1):
            share = rng.uniform(0.1, 0.9)
            pace = time * (1 - share) * rng.uniform(0.8, 1.3)
            own.append(
                Choice(
                    obs.Block(2, 4),
                    share,
                    rng.uniform(0, 1),
                    pace,
                    int(weights * (1 - share)),
                    share * weights,
                )
            )
        layers.append(own)
    return layers


def random_limits(rng, layers):
    dense = [own[0] for own in layers]
    return Limits(
        gone=rng.choice([0, rng.uniform(0, 0.7)]) * sum(c.bytes for c in dense),
        nanoseconds=rng.choice([math.inf, rng.uniform(0.3, 1)]) * sum(c.nanoseconds for c in dense),
        bytes=rng.choice([math.inf, rng.uniform(0.3, 1)]) * sum(c.bytes for c in dense),
    )


def fits(choices, limits, slack=1e-5):
    return (
        sum(c.gone for c in choices) >= limits.gone * (1 - slack)
        and sum(c.nanoseconds for c in choices) <= limits.nanoseconds * (1 + slack)
        and sum(c.bytes for c in choices) <= limits.bytes * (1 + slack)
    )


@pytest.mark.parametrize("seed", range(30))
def test_the_solver_finds_what_trying_everything_finds(seed):
    rng = np.random.default_rng(seed)
    layers = random_layers(rng, 4, 5)
    limits = random_limits(rng, layers)
    every = [c for c in itertools.product(*layers) if fits(c, limits, 0)]
    found = least_error(layers, limits)
    if not every:
        assert found is None, (seed, limits)
        return
    assert found is not None, (seed, limits)
    assert fits(found, limits)
    assert sum(c.error for c in found) == pytest.approx(
        min(sum(c.error for c in e) for e in every), rel=2e-4, abs=1e-9
    )
    assert least(layers, limits, lambda c: c.bytes) == pytest.approx(
        min(sum(c.bytes for c in e) for e in every), rel=2e-4
    )


@pytest.mark.parametrize("seed", range(4))
def test_large_instances_stay_within_the_limits(seed):
    rng = np.random.default_rng(100 + seed)
    layers = random_layers(rng, 40, 60)
    dense = sum(own[0].nanoseconds for own in layers)
    limits = Limits(gone=0.5 * sum(own[0].bytes for own in layers), nanoseconds=0.6 * dense)
    found = least_error(layers, limits)
    assert found is not None and len(found) == len(layers) and fits(found, limits), seed
    assert all(choice in own for choice, own in zip(found, layers, strict=True))


def test_no_layers_are_no_problem():
    assert least_error([], Limits()) == []
    assert least_error([], Limits(nanoseconds=-1)) is None
    assert least_error([], Limits(gone=1)) is None


def device(tmp_path, **rates):
    """A device file where a kept block of each size costs ``rates`` of what it costs dense, and nothing else costs."""
    base = load("x86-avx2")
    costs = {kernel: dict.fromkeys(units, 0.0) for kernel, units in base.costs.items()}
    for family, unit in (("gemm", "product"), ("gemv", "kept")):
        costs[f"{family}-dense"][unit] = 4.0
        for block in ("1x4", "2x4", "4x4", "8x4"):
            costs[f"{family}-{block}"][unit] = int(block[0]) * rates.get(f"b{block}", 1.0)
    path = tmp_path / "device.toml"
    path.write_text(to_toml(replace(base, name="hand-made", costs=costs)))
    return str(path)


def plan(reach=REACH, **kwargs):
    """(budgets, prices, graph) of the residual network."""
    graph = residual_network()
    options = ConvertOptions(samples(graph), **kwargs)
    found = plan_budget(graph, options, stack(samples(graph), graph, 8), 0, reach)
    return found, Prices(graph, device_profile(options)), graph


def cost(found, prices):
    total = prices.rest
    for name, budget in found.items():
        price = prices.dense(name)
        if budget.share:
            price = prices.pruned(name, budget.block, budget.share)
        total = total.plus(price)
    return total


def gone(found, graph):
    sizes = {n.name: n.weights["weight"].size for n in graph.nodes if n.name in PRUNABLE}
    return sum(found[n].share * size for n, size in sizes.items()) / sum(sizes.values())


@pytest.mark.parametrize("reach", [REACH, TAUGHT_REACH, TRAINED_REACH])
@pytest.mark.parametrize("sparsity", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("block", ["auto", "1x4", "4x4", "8x4"])
def test_sparsity_is_met_near_the_even_share_and_auto_saves_most_of_the_time(sparsity, block, reach):
    options = {"sparsity": sparsity, "block": block, "profile": "x86-avx512vnni"}
    found, prices, graph = plan(reach, **options)
    even, _, _ = plan(**options, budget="uniform")
    assert gone(found, graph) >= min(sparsity, gone(even, graph)) - 0.002
    if block == "auto":
        dense = cost(plan()[0], prices).nanoseconds
        saved = dense - cost(even, prices).nanoseconds
        assert dense - cost(found, prices).nanoseconds >= 0.8 * saved * (1 - 1e-5)
    lowest, highest = sparsity * (1 - reach), sparsity + reach * (1 - sparsity)
    for name, budget in found.items():
        if budget.share:
            half = 0.5 / prices.blocks(name, budget.block)  # a share is a whole number of blocks
            assert lowest - half <= budget.share <= highest + half, (name, budget)


def test_where_a_large_layer_has_weights_to_spare_another_keeps_most_of_its_own():
    b = Builder(0)
    small = b.conv("small", b.conv("stem", "x", 32, clip=RELU), 32, clip=RELU)
    graph = b.graph(b.conv("large", small, 128))
    weights = graph.nodes[-1].weights["weight"]
    weights[np.random.default_rng(1).random((32, 8)).repeat(4, 0).repeat(4, 1) > 0.05] = 0  # blocks of 4x4
    options = ConvertOptions(samples(graph), sparsity=0.75, block="4x4", profile="x86-avx512vnni")
    found = plan_budget(graph, options, stack(samples(graph), graph, 8), 0, TRAINED_REACH)
    assert found["large"].share > 0.9
    assert found["small"].share < 0.2


def test_auto_has_no_more_error_than_the_even_network(tmp_path):
    path = device(tmp_path, b1x4=1.3)
    found, _, graph = plan(sparsity=0.5, profile=path)
    names = {n: list({found[n].block, obs.Block(2, 4)}) for n in PRUNABLE}
    scores = survey(graph, names, stack(samples(graph), graph, 8), 0)

    def error(name, block, share):
        rising = scores[name][block]
        return float(rising[: round(share * len(rising))].sum())

    chosen = sum(error(n, found[n].block, found[n].share) for n in PRUNABLE if found[n].share)
    assert chosen <= sum(error(n, obs.Block(2, 4), 0.5) for n in PRUNABLE)


@pytest.mark.parametrize("reach", [REACH, TAUGHT_REACH, TRAINED_REACH])
@pytest.mark.parametrize("part", [0.5, 0.7, 0.9])
def test_a_mix_has_no_more_error_than_any_one_block_at_the_same_time(part, reach, tmp_path):
    """A layer's share must not have to be near what blocks of another size would need."""
    path = device(tmp_path, b1x4=2.5, b2x4=1.7, b4x4=1.2)
    # Of this layer's blocks the mix leaves out those that would be mostly padding.
    told = {"logits4": LayerChoice("2x4", 0.5)}
    free = [name for name in PRUNABLE if name not in told]
    dense, prices, graph = plan(profile=path)
    latency = part * cost(dense, prices).nanoseconds / 1e6
    blocks = {block: obs.Block(int(block[0]), 4) for block in ("1x4", "2x4", "4x4", "8x4")}
    inputs = stack(samples(graph), graph, 8)
    scores = survey(graph, {name: list(blocks.values()) for name in free}, inputs, 0)

    def error(block):
        found, _, _ = plan(reach, latency=latency, profile=path, layers=told, block=block)
        dropped = {n: scores[n][found[n].block] for n in free if found[n].share}
        return sum(float(s[: round(found[n].share * len(s))].sum()) for n, s in dropped.items())

    mix, alone = error("auto"), {}
    for block in blocks:
        with suppress(OptionError):  # not fast enough, however much goes
            alone[block] = error(block)
    assert alone and mix <= min(alone.values()) * (1 + 1e-3), (mix, alone)


def test_layers_take_the_block_that_the_device_is_good_at(tmp_path):
    slow = dict.fromkeys(("b1x4", "b2x4", "b4x4", "b8x4"), 40.0)
    for block in ("1x4", "2x4", "4x4", "8x4"):
        path = device(tmp_path, **{**slow, f"b{block}": 1.0})
        dense, prices, _ = plan(profile=path)
        less = 0.4 * sum(prices.dense(name).nanoseconds for name in PRUNABLE)
        found, _, _ = plan(latency=(cost(dense, prices).nanoseconds - less) / 1e6, profile=path)
        assert {b.block for b in found.values() if b.share} == {obs.Block(int(block[0]), 4)}, block


def test_auto_takes_no_blocks_that_are_mostly_padding(tmp_path):
    """Ten classes in blocks of 8x4: the last two share a row of blocks that is worth little, and would go whole."""
    slow = dict.fromkeys(("b1x4", "b2x4", "b4x4", "b8x4"), 40.0)
    for rows in (4, 8):
        path = device(tmp_path, **{**slow, f"b{rows}x4": 1.0})
        found, _, _ = plan(sparsity=0.5, profile=path)
        assert found["wide"].block == obs.Block(rows, 4) and found["wide"].share, rows
        assert found["logits4"].share == 0, (rows, found["logits4"])
        found, _, _ = plan(sparsity=0.5, block=f"{rows}x4", profile=path)
        assert found["logits4"].block == obs.Block(rows, 4), "who asks for a block gets it"


def test_a_layer_is_dense_where_the_device_says_so(tmp_path):
    slow = dict.fromkeys(("b1x4", "b2x4", "b4x4", "b8x4"), 1.9)  # 30 % gone still takes 1.33 times as long
    path = device(tmp_path, **slow)
    for budget in ("global", "uniform"):
        found, _, graph = plan(sparsity=0.2, budget=budget, profile=path)
        assert gone(found, graph) == 0
        assert all(found[n].reason.startswith(DENSE_IS_FASTER) for n in PRUNABLE), budget
        assert "hand-made" in found["wide"].reason
    found, _, graph = plan(sparsity=0.5, profile=path)  # half of them gone pays
    assert gone(found, graph) >= 0.495


def test_latency_is_kept_and_used(tmp_path):
    path = device(tmp_path)
    _, prices, _ = plan(profile=path)
    dense = cost(plan(profile=path)[0], prices).nanoseconds / 1e6
    shares = []
    for part in (1.0, 0.8, 0.5):
        found, prices, graph = plan(latency=dense * part, profile=path)
        assert cost(found, prices).nanoseconds / 1e6 <= dense * part * (1 + 1e-5)
        shares.append(gone(found, graph))
    assert shares[0] == 0 < shares[1] < shares[2]
    loose, _, _ = plan(latency=dense, profile=path)
    assert {loose[n].reason for n in PRUNABLE} == {NOT_NEEDED}


def test_size_and_latency_and_sparsity_together(tmp_path):
    path = device(tmp_path)
    found, prices, _ = plan(profile=path)
    total = cost(found, prices)
    limits = {"latency": 0.8 * total.nanoseconds / 1e6, "size": 0.6 * total.bytes / 1024, "sparsity": 0.3}
    found, prices, graph = plan(**limits, profile=path)
    total = cost(found, prices)
    assert total.nanoseconds / 1e6 <= limits["latency"] * (1 + 1e-5)
    assert total.bytes / 1024 <= limits["size"] * (1 + 1e-5)
    assert gone(found, graph) >= 0.3 - 1e-4


def test_layers_that_are_told_count_but_stay(tmp_path):
    path = device(tmp_path)
    told = {"wide": LayerChoice("8x4", 0.25)}
    dense = cost(*plan(profile=path)[:2]).nanoseconds / 1e6
    found, prices, _ = plan(latency=0.9 * dense, profile=path, layers=told)
    assert found["wide"] == LayerBudget(obs.Block(8, 4), 0.25)
    assert cost(found, prices).nanoseconds / 1e6 <= 0.9 * dense


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            {"latency": 1e-6},
            r"--latency 1e-06: out of reach, the least found is 0\.\d+ ms \(on x86-avx512vnni",
        ),
        ({"size": 0.5}, r"--size 0.5: out of reach, the least found is \d+\.\d+ KB"),
        ({"latency": 1e-6, "size": 0.5}, r"--latency .*together with the other limit; --size"),
    ],
)
def test_targets_out_of_reach_say_what_is_within(target, message):
    with pytest.raises(OptionError, match=message):
        plan(**target, profile="x86-avx512vnni")


@pytest.mark.parametrize("target", [{"latency": 1e-6}, {"size": 0.01}, {"latency": 1e-6, "sparsity": 0.5}])
def test_limits_hold_where_every_layer_is_told(target):
    told = dict.fromkeys(PRUNABLE, LayerChoice("2x4", 0.25))
    with pytest.raises(OptionError, match="out of reach, the least found is"):
        plan(**target, layers=told)
    loose, _, _ = plan(latency=1e3, size=1e3, layers=told)
    assert all(loose[n] == LayerBudget(obs.Block(2, 4), 0.25, head=loose[n].head) for n in PRUNABLE)


@pytest.mark.parametrize("budget", ["global", "uniform"])
def test_a_sparsity_of_less_than_a_block_drops_none(tmp_path, budget):
    found, _, _ = plan(sparsity=1e-4, budget=budget, block="auto", profile=device(tmp_path))
    assert not any(found[n].share for n in PRUNABLE)


def test_inputs_that_never_vary_make_no_layer_worth_more_than_itself():
    graph = residual_network()
    still = {"x": np.ones((4, *graph.shapes["x"][1:]), np.float32)}
    block = obs.Block(2, 4)
    errors = survey(graph, {"logits4": [block], "wide": [block]}, still, 0)
    assert errors["logits4"][block].sum() == pytest.approx(1, rel=0.05)


def test_the_least_that_a_message_names_is_within_reach():
    with pytest.raises(OptionError) as caught:
        plan(size=0.5, profile="x86-avx2")
    reached = float(str(caught.value).partition("the least found is ")[2].partition(" KB")[0])
    found, prices, _ = plan(size=reached, profile="x86-avx2")
    assert cost(found, prices).bytes <= reached * 1024


def test_prices_are_those_of_the_file(tmp_path):
    graph = residual_network()
    np.savez(tmp_path / "c.npz", x=np.concatenate([s["x"] for s in samples(graph, 8)]))
    (tmp_path / "m.onnx").write_bytes(to_onnx(graph).SerializeToString())
    options = ConvertOptions(tmp_path / "c.npz", sparsity=0.5, profile="x86-avx2", equalize=False)
    report = convert(tmp_path / "m.onnx", tmp_path / "m.lace", options)
    profile = load("x86-avx2")
    with Session(tmp_path / "m.lace") as session:
        assert session.metadata["profile"] == "x86-avx2"
        model = session.records()
    measured = sum(profile.op(model, op) for op in model.ops) / 1e6
    assert report.profile == "x86-avx2" and report.predicted_ms == pytest.approx(measured, abs=1e-4)
    prices = Prices(graph, profile)
    for layer in report.layers:
        price = prices.dense(layer.name)
        if layer.block != "dense":
            price = prices.pruned(layer.name, obs.Block(int(layer.block[0]), 4), layer.sparsity)
        assert layer.predicted_us == pytest.approx(price.nanoseconds / 1e3, rel=0.02, abs=0.02), layer


def test_limits_on_the_command_line(tmp_path, capsys):
    graph = residual_network()
    np.savez(tmp_path / "c.npz", x=np.concatenate([s["x"] for s in samples(graph, 8)]))
    (tmp_path / "m.onnx").write_bytes(to_onnx(graph).SerializeToString())
    start = [
        "convert",
        str(tmp_path / "m.onnx"),
        "-o",
        str(tmp_path / "m.lace"),
        "--calib",
        str(tmp_path / "c.npz"),
    ]
    assert main([*start, "--profile", "x86-avx2", "--json"]) == 0
    dense = json.loads(capsys.readouterr().out)["predicted_ms"]
    assert main([*start, "--profile", "x86-avx2", "--latency", f"{0.8 * dense:.5f}", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["predicted_ms"] <= 0.8 * dense * 1.02
    assert main(["inspect", str(tmp_path / "m.lace"), "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["profile"] == "x86-avx2"
    assert seen["predicted_ms"] == pytest.approx(report["predicted_ms"], abs=1e-4)
    assert seen["metadata"]["sparsity"]["latency_ms"] == pytest.approx(0.8 * dense, rel=1e-3)
    assert main([*start, "--size", "1"]) == ExitCode.USAGE
    assert "--size 1.0: out of reach" in capsys.readouterr().err
    assert main([*start, "--profile", "abacus"]) == ExitCode.USAGE
    assert "there are x86-avx2, x86-avx512vnni" in capsys.readouterr().err


@pytest.mark.parametrize(
    "bad",
    [
        {"latency": 0.0},
        {"latency": float("nan")},
        {"size": -1.0},
        {"size": float("inf")},
        {"latency": 1.0, "budget": "uniform"},
        {"size": 1.0, "max_drop": 1.0},
        {"seed": -1},
        {"seed": 1 << 63},
    ],
)
def test_options_that_make_no_sense_are_refused(bad):
    with pytest.raises(OptionError):
        ConvertOptions([], **bad)


def test_an_unknown_profile_is_refused_before_any_work():
    with pytest.raises(ProfileError, match="no device profile"):
        ConvertOptions([], profile="abacus")
