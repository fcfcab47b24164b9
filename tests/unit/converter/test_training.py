"""Masks, schedules and saliency; the whole fine-tuning, its checkpoints and its processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from graphs import residual_network, samples
from training_cases import Stripes, loss, metric, options, raw_graph, recipe, trained_net

import lacewing
from lacewing.converter.calibration import open_dataset
from lacewing.converter.convert import convert
from lacewing.converter.errors import OptionError, TrainingError
from lacewing.converter.execute import Executor
from lacewing.converter.lowering.lower import lower
from lacewing.converter.passes import run_passes
from lacewing.converter.progress import silent
from lacewing.converter.quantization.layerwise import channel_means, stack
from lacewing.converter.sparsity.budget import LayerBudget, device_profile
from lacewing.converter.sparsity.obs import Block
from lacewing.converter.training import Recipe, finetune, unlabelled
from lacewing.converter.training.checkpoint import Checkpoints, fingerprint_of_plan
from lacewing.converter.training.data import batches, in_order, steps_per_epoch
from lacewing.converter.training.distillation import Distillation, squared_error
from lacewing.converter.training.distributed import Workers
from lacewing.converter.training.finetune import FineTuning
from lacewing.converter.training.loop import Stage, Trainer
from lacewing.converter.training.masks import BlockMasks, block_sums
from lacewing.converter.training.network import Network
from lacewing.converter.training.one_shot import prune_once
from lacewing.converter.training.recipe import OUTPUTS, load_recipe
from lacewing.converter.training.saliency import SALIENCIES, Saliency
from lacewing.converter.training.schedule import CubicSchedule, learning_rate

MENDED = {"schedule": "one-shot", "reconstruct": 2}
ALONE = Workers(0, 1, torch.device("cpu"))
IN_TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def tuned(checkpoint=None, told=None, **changes):
    graph, told = raw_graph(), told or options()
    dataset = open_dataset(told.calibration, {v: graph.shapes[v] for v in graph.inputs})
    torch.set_num_threads(1)
    return FineTuning(graph, dataset, recipe(**changes), told, ALONE, silent, checkpoint).run()


def integers_of(result):
    return lower(result.graph, result.plan).to_bytes()


def assert_engines_bits(result):
    images = Stripes(32, 9).images
    with torch.no_grad():
        (ours,) = (y.numpy() for y in result.network({"image": images}).values())
    with lacewing.Session(integers_of(result)) as session:
        (name,) = [o.name for o in session.outputs]
        for i, wanted in enumerate(ours):
            assert session.run({"image": images[i : i + 1].numpy()})[name][0].tobytes() == wanted.tobytes(), i


def sparse_masks(block, share=0.5):
    graph = raw_graph()
    return graph, BlockMasks(
        graph, {"wide": LayerBudget(block, share), "point": LayerBudget(block, 0.0, "told")}
    )


@pytest.mark.parametrize("block", [Block(1, 4), Block(2, 4), Block(4, 4), Block(8, 4), Block(4, 8)])
def test_masks_drop_whole_blocks_and_exactly_the_share(block):
    graph, masks = sparse_masks(block)
    network = Network(graph)
    masks.set(masks.chosen(Saliency("magnitude", masks.nodes()).scores(network), 1.0, {}, 0.0))
    masks.apply(network)
    node = masks.nodes()[0]
    left = block_sums(network.weight(node).detach().abs().numpy(), block)
    assert list(masks.keep) == ["wide"]
    np.testing.assert_array_equal(left > 0, masks.keep["wide"])
    assert masks.keep["wide"].sum() == left.size - round(0.5 * left.size)


@pytest.mark.parametrize("mean", [0.0, 5.0])
def test_pruning_at_once_keeps_the_means_of_every_layer(mean):
    """A network with folded batch norms has nothing else that would."""
    graph = residual_network()
    inputs = {v: a + np.float32(mean) for v, a in stack(samples(graph, 16), graph, 16).items()}
    values = [n.output for n in graph.nodes if n.op in ("conv", "gemm") and "clip" not in n.attrs]
    assert values
    before = Executor(graph, values).run(inputs)
    layers = [n.name for n in graph.nodes if n.op == "conv" and n.weights["weight"].shape[1] >= 16]
    kept = prune_once(graph, {name: LayerBudget(Block(4, 4), 0.5) for name in layers}, inputs, 0, silent)
    assert set(kept) == set(layers)
    after = Executor(graph, values).run(inputs)
    for value in values:
        wanted, got = channel_means(before[value]), channel_means(after[value])
        np.testing.assert_allclose(got, wanted, atol=1e-4 * float(np.abs(before[value]).max()), err_msg=value)


def test_the_least_salient_blocks_go():
    _, masks = sparse_masks(Block(4, 4), 0.25)
    shape = masks.keep["wide"].shape
    scores = np.random.default_rng(0).permutation(masks.keep["wide"].size).reshape(shape)
    weights = np.repeat(np.repeat(scores, 4, axis=0), 4, axis=1).reshape(32, 3, 3, 16).transpose(0, 3, 1, 2)
    masks.set(masks.chosen({"wide": weights.astype(float)}, 1.0, {}, 0.0))
    np.testing.assert_array_equal(masks.keep["wide"], scores >= round(0.25 * scores.size))


@pytest.mark.parametrize("head", [False, True])
def test_training_keeps_a_block_of_every_row_of_answers(head):
    graph = raw_graph()
    masks = BlockMasks(graph, {"wide": LayerBudget(Block(4, 4), 0.5, head=head)})
    saliency = np.random.default_rng(0).uniform(1, 2, (32, 16, 3, 3))
    saliency[4:8] = 1e-3
    for _ in range(3):
        masks.set(masks.chosen({"wide": saliency}, 1.0, {}, 0.0))
        assert masks.keep["wide"].sum() == 8 * 36 / 2
        assert masks.keep["wide"][1].any() == head


def test_regrowth_brings_back_the_steepest_block_and_keeps_the_share():
    _, masks = sparse_masks(Block(4, 4))
    rng = np.random.default_rng(0)
    saliency = {"wide": rng.uniform(1, 2, (32, 16, 3, 3))}
    masks.set(masks.chosen(saliency, 1.0, {}, 0.0))
    before = masks.keep["wide"].copy()
    growth = np.zeros((32, 16, 3, 3))
    row, column = np.argwhere(~before)[0]
    tap, quad = divmod(int(column), 4)
    growth[4 * row : 4 * row + 4, 4 * quad : 4 * quad + 4, tap // 3, tap % 3] = 1
    masks.set(masks.chosen(saliency, 1.0, {"wide": growth}, 0.03))
    assert masks.keep["wide"][row, column]
    assert masks.keep["wide"].sum() == before.sum()


def test_the_cubic_schedule_rises_from_nothing_to_all():
    choices = CubicSchedule(0.5, 4).choices(100)
    shares = [choice.share for choice in choices.values()]
    assert list(choices) == [0, 12, 25, 38, 50]
    assert shares == sorted(shares) and (shares[0], shares[-1]) == (0.0, 1.0)
    assert choices[25].share == pytest.approx(1 - 0.5**3)
    assert [choices[step].regrowth for step in (0, 25, 50)] == [1.0, 0.5, 0.0]


@pytest.mark.parametrize("ramp", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("updates", [1, 4, 16])
@pytest.mark.parametrize("total", [1, 2, 5, 100])
def test_however_few_the_steps_all_of_the_sparsity_is_reached(ramp, updates, total):
    choices = CubicSchedule(ramp, updates).choices(total)
    assert set(choices) <= set(range(total))
    assert choices[max(choices)].share == 1.0


def test_a_training_of_one_step_leaves_all_blocks_out_that_it_should():
    result, longer = tuned(batch_size=512, epochs=2, ramp=1.0, updates=1), tuned()
    assert result.history["float"][-1]["sparsity"] == longer.history["float"][-1]["sparsity"] > 0.4


def test_the_learning_rate_rises_and_ends_near_zero():
    rates = [learning_rate(i / 200) for i in range(201)]
    assert 0 < rates[0] < 0.1 and max(rates) <= 1 and rates[-1] < 1e-6


@pytest.mark.parametrize("kind", SALIENCIES)
def test_every_saliency_finds_the_weights_that_matter(kind):
    """Input channels that are always zero have no slope and no curvature; only their size is seen by magnitude."""
    graph = raw_graph()
    node = next(n for n in graph.nodes if n.name == "wide")
    network = Network(graph)
    saliency = Saliency(kind, [node])
    with torch.no_grad():
        network.weight(node)[:, :4] = 0.0
        network.weight(node)[:, 4:8] *= 10.0
    inputs, target = Stripes(64, 0).batch(range(64), torch.Generator())
    loss(network(inputs), (target + 1) % 5).backward()
    saliency.observe(network)
    scores = saliency.scores(network)["wide"]
    assert (scores[:, :4] == 0).all()
    assert scores[:, 4:8].mean() > scores[:, 8:].mean()


def test_square_head_is_relative():
    teacher = torch.randn(8, 5)
    assert float(squared_error(teacher, teacher)) == 0
    assert float(squared_error(teacher * 10, teacher * 0)) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("outputs", OUTPUTS)
def test_a_row_of_values_is_compared_by_value_and_one_of_classes_by_softmax(outputs):
    """Scores that are all higher by one are the same answer of a classifier, and another position of a box."""
    graph = raw_graph()
    teacher = Distillation(Network(graph), [], {}, recipe(features=0, outputs=outputs))
    (output,) = graph.outputs
    inputs, _ = Stripes(16, 0).batch(range(16), torch.Generator())
    right = Network(graph).eval()(inputs)[output]
    assert float(teacher.loss(inputs, {output: right})) == pytest.approx(0, abs=1e-5)
    moved = float(teacher.loss(inputs, {output: right + 1}))
    assert moved == pytest.approx(0, abs=1e-5) if outputs == "classes" else moved > 1e-3


def test_the_parts_of_a_batch_make_the_whole():
    data = Stripes(50, 0)
    whole = [t for _, t in batches(data, 16, 3, 1)]
    parts = [[t for _, t in batches(data, 16, 3, 1, rank, 2)] for rank in range(2)]
    assert len(whole) == steps_per_epoch(data, 16) == 3
    for step, batch in enumerate(whole):
        assert sorted(batch.tolist()) == sorted([*parts[0][step].tolist(), *parts[1][step].tolist()])
    assert sum(len(t) for _, t in in_order(data, 16)) == 50


def test_fine_tuning_keeps_the_task_the_blocks_and_the_engines_bits():
    result = tuned()
    assert result.metric["float"] > 0.9
    assert result.metric["quantized"] > 0.9
    gone = {n: 1 - result.plan.layers[n].keep.mean() for n, b in result.budgets.items() if b.share}
    assert gone and all(
        share == pytest.approx(result.budgets[n].share, abs=0.05) for n, share in gone.items()
    )
    assert_engines_bits(result)


@pytest.mark.parametrize("features", [0.0, 1.0])
def test_fine_tuning_with_fewer_channels_keeps_the_task_and_the_engines_bits(monkeypatch, features):
    monkeypatch.setattr(finetune, "TRAINED_CHANNEL_WEIGHT", 0.0)  # however dear, as many as the time asks for
    graph, told = raw_graph(), options(sparsity=0.0, profile="x86-avx512vnni")
    model = lower(run_passes(graph), tuned(told=told, epochs=1, quantized_epochs=0).plan)
    time = sum(device_profile(told).op(model, op) for op in model.ops) / 1e6
    result = tuned(told=replace(told, latency=0.8 * time), features=features, epochs=5)
    assert result.narrowed
    assert result.metric["float"] > 0.9
    assert result.metric["quantized"] > 0.9
    assert_engines_bits(result)


@pytest.mark.parametrize(
    "changes", [{"schedule": "one-shot"}, MENDED, {"loss": None}, {"answers": 0, "features": 0}]
)
def test_every_way_to_train_learns_the_task(changes):
    assert tuned(**changes).metric["quantized"] > 0.85


def test_all_epochs_may_be_quantized_or_none():
    assert tuned(epochs=2, quantized_epochs=2, schedule="one-shot").metric["quantized"] > 0.85
    assert tuned(epochs=2, quantized_epochs=0).history["quantized"] == []


def test_quantized_epochs_that_lose_are_undone():
    """At a rate that ruins the network, what the float stage left is written."""
    result = tuned(quantized_learning_rate=0.3)
    assert result.history["quantized"][-1]["metric"] < 0.7
    assert result.metric["quantized"] > 0.85
    inputs, target = Stripes(128, 3).batch(range(128), torch.Generator())
    with torch.no_grad():  # the network is that one, not only the figure
        assert metric(result.network(inputs), target).mean() > 0.85


def test_mixed_precision_learns_too():
    assert tuned(precision="bfloat16").metric["quantized"] > 0.85


@pytest.mark.parametrize("watch", [False, True])
def test_batch_norms_end_with_the_moments_of_the_weights_as_they_are(watch):
    """A channel that is all but constant is many deviations off by moments that lag."""
    graph, told = raw_graph(), recipe(watch=watch)
    network, epochs = Network(graph), 2
    stage = Stage("float", network, told, epochs, 0.05, BlockMasks(graph, {}))
    Trainer(told.train, told.validation, None, ALONE, silent).run(stage, lambda _: None)
    norms = [n for n in graph.nodes if n.op == "batch_norm"]
    wanted = {(n.name, moment): [] for n in norms for moment in ("mean", "variance")}
    with torch.no_grad():
        for inputs, _ in batches(told.train, told.batch_size, told.seed, epochs - 1):
            values = deepcopy(network).train()(inputs, [n.inputs[0] for n in norms])
            for n in norms:
                wanted[n.name, "mean"].append(values[n.inputs[0]].mean((0, 2, 3)))
                wanted[n.name, "variance"].append(values[n.inputs[0]].var((0, 2, 3)))
    for n in norms:
        for moment in ("mean", "variance"):
            average = torch.stack(wanted[n.name, moment]).mean(0)
            torch.testing.assert_close(network.weight(n, moment), average, atol=1e-5, rtol=1e-4)


def test_the_same_seed_gives_the_same_file():
    assert integers_of(tuned()) == integers_of(tuned())


class Interrupted(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize(("epoch", "changes"), [(1, {}), (2, {}), (3, {}), (1, MENDED)])
def test_a_killed_training_goes_on_to_the_same_result(tmp_path, monkeypatch, epoch, changes):
    whole = integers_of(tuned(**changes))
    from lacewing.converter.training import checkpoint

    saved = 0
    original = checkpoint.Checkpoints.save

    def save(self, state):
        nonlocal saved
        original(self, state)
        saved += 1
        if saved == epoch:
            raise Interrupted

    monkeypatch.setattr(checkpoint.Checkpoints, "save", save)
    with pytest.raises(Interrupted):
        tuned(tmp_path / "kept", **changes)
    monkeypatch.setattr(checkpoint.Checkpoints, "save", original)
    assert integers_of(tuned(tmp_path / "kept", **changes)) == whole


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    from lacewing.converter import output

    tuned(tmp_path, epochs=1, quantized_epochs=0)
    before = (tmp_path / "training.pt").read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output.os, "fsync", full)
    (tmp_path / "training.pt").rename(tmp_path / "kept")
    (tmp_path / "training.pt").write_bytes(before)
    with pytest.raises(lacewing.errors.OutputError, match="No space"):
        Checkpoints(tmp_path, "other").save({})
    assert (tmp_path / "training.pt").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept", "training.pt"]


def test_another_trainings_checkpoint_is_refused(tmp_path):
    tuned(tmp_path, epochs=1, quantized_epochs=0)
    with pytest.raises(OptionError, match="another network, recipe, options"):
        tuned(tmp_path, epochs=1, quantized_epochs=0, learning_rate=0.5)


@pytest.mark.parametrize("changed", [0, 15])
def test_a_checkpoint_of_other_calibration_samples_is_refused(tmp_path, monkeypatch, changed):
    """Any one of them, and where nothing is pruned, too: ranges follow from all."""
    monkeypatch.setattr(finetune, "_SAMPLES", 4)
    dense = options(sparsity=0.0)
    tuned(tmp_path, dense, epochs=1, quantized_epochs=0)
    samples = [{"image": s["image"] + (i == changed)} for i, s in enumerate(dense.calibration)]
    with pytest.raises(OptionError, match="calibration samples"):
        tuned(tmp_path, replace(dense, calibration=samples), epochs=1, quantized_epochs=0)


class Elsewhere(Workers):
    """Float64 stands for another device: it, too, is taken on by what is loaded after the network was placed, not before."""

    def place(self, network):
        return network.double()


def test_a_checkpoint_is_loaded_where_the_network_computes():
    graph, masks = sparse_masks(Block(4, 4))
    network = Network(graph)
    stage = Stage("float", network, recipe(), 2, 1e-3, masks, Saliency("second", masks.nodes()))
    inputs, target = Stripes(8, 0).batch(range(8), torch.Generator())
    loss(network(inputs), target).backward()
    stage.saliency.observe(network)
    stage.optimizer.step()
    other = Stage("float", Network(graph), recipe(), 2, 1e-3, masks, Saliency("second", masks.nodes()))
    other.load(stage.state(), Elsewhere(0, 1, torch.device("meta")))
    moments = [state["exp_avg"] for state in other.optimizer.state.values()]
    means = [mean for kind in other.saliency.state().values() for mean in kind.values()]
    assert {m.dtype for m in moments} == {torch.float64}
    assert {m.device.type for m in means} == {"meta"}


@pytest.mark.parametrize(
    "other", [{"wide": LayerBudget(Block(4, 4), 0.5)}, {"wide": LayerBudget(Block(2, 4), 0.4)}]
)
@pytest.mark.parametrize("places", [{}, {"x": np.array([1, 0])}])
def test_a_checkpoint_of_other_channels_or_blocks_is_refused(tmp_path, other, places):
    plan = fingerprint_of_plan({"wide": LayerBudget(Block(2, 4), 0.5)}, {"x": np.array([0, 1])})
    first = Checkpoints(tmp_path, "the same training")
    first.keep_to(plan, None)
    first.save({"float": {}})
    again = Checkpoints(tmp_path, "the same training")
    saved = again.load()
    again.keep_to(plan, saved)
    with pytest.raises(OptionError, match="other channels or blocks"):
        again.keep_to(fingerprint_of_plan(other, places), saved)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut", b"\x80\x02."])
def test_a_damaged_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "training.pt").write_bytes(content)
    with pytest.raises(OptionError, match=r"training\.pt"):
        tuned(tmp_path)


def test_a_checkpoint_runs_no_code(tmp_path):
    torch.save({"format": 1, "fingerprint": Path("x")}, tmp_path / "training.pt")
    with pytest.raises(OptionError, match="not a readable checkpoint"):
        tuned(tmp_path)


def test_a_loss_that_is_not_finite_stops_with_advice():
    with pytest.raises(TrainingError, match="learning_rate"):
        tuned(loss=lambda outputs, target: next(iter(outputs.values())).sum() * float("nan"))


def test_the_teacher_and_the_source_stay_as_they_are():
    graph, told = raw_graph(), options()
    before = deepcopy(graph)
    dataset = open_dataset(told.calibration, {v: graph.shapes[v] for v in graph.inputs})
    FineTuning(graph, dataset, recipe(epochs=1, quantized_epochs=0), told, ALONE, silent).run()
    for a, b in zip(before.nodes, graph.nodes, strict=True):
        for name in a.weights:
            np.testing.assert_array_equal(a.weights[name], b.weights[name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"saliency": "third"}, "saliency"),
        ({"schedule": "linear"}, "schedule"),
        ({"epochs": 0}, "epochs"),
        ({"quantized_epochs": 9}, "quantized"),
        ({"ramp": 1.5}, "ramp"),
        ({"outputs": "boxes"}, "outputs"),
        ({"batch_size": 0}, "batch_size"),
        ({"loss": None, "answers": 0, "features": 0}, "nothing to learn"),
        ({"validation": None}, "validation"),
        ({"quantized_epochs": 3}, "give more epochs"),
        ({"reconstruct": 1}, "schedule='one-shot'"),
        ({"schedule": "one-shot", "saliency": "first"}, "schedule='cubic'"),
        ({"schedule": "one-shot", "updates": 4}, "schedule='cubic'"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(OptionError, match=message):
        replace(recipe(), **changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "defines `def recipe"),
        ("def recipe():\n    return 3", "defines `def recipe"),
        ("def recipe():\n    return 1 / 0", "ZeroDivisionError"),
        ("import", "SyntaxError"),
    ],
)
def test_a_broken_recipe_file_says_what_is_wrong(tmp_path, text, message):
    (tmp_path / "r.py").write_text(text)
    with pytest.raises(OptionError, match=message):
        load_recipe(tmp_path / "r.py")
    with pytest.raises(OptionError, match="no such file"):
        load_recipe(tmp_path / "absent.py")


def test_data_of_no_known_kind_are_refused():
    with pytest.raises(OptionError, match="map-style"):
        tuned_with = Recipe(iter([1]), loss=loss)
        graph, told = raw_graph(), options()
        dataset = open_dataset(told.calibration, {v: graph.shapes[v] for v in graph.inputs})
        FineTuning(graph, dataset, tuned_with, told, ALONE, silent)


@pytest.mark.parametrize("ranges", ["fitted", "minmax"])
def test_fitted_ranges_are_narrowed_before_the_quantized_stage(monkeypatch, ranges):
    narrowed = []
    monkeypatch.setattr(
        finetune, "narrow", lambda graph, plan, inputs, progress: narrowed.extend(plan.values)
    )
    plan = tuned(told=options(ranges=ranges), epochs=1, quantized_epochs=0).plan
    assert narrowed == (list(plan.values) if ranges == "fitted" else [])


def test_a_torch_dataset_will_do():
    data = Stripes(128, 5)
    dataset = torch.utils.data.TensorDataset(data.images, data.targets)
    graph, told = raw_graph(), options()
    calibration = open_dataset(told.calibration, {v: graph.shapes[v] for v in graph.inputs})
    told_recipe = Recipe(
        dataset, dataset, loss=loss, metric=metric, epochs=2, quantized_epochs=1, batch_size=64
    )
    assert FineTuning(graph, calibration, told_recipe, told, ALONE, silent).run().metric["quantized"] > 0.85


def test_max_drop_finds_a_sparsity_that_holds_on_held_out_samples(tmp_path):
    data = Stripes(60, 4)
    samples = [{"image": data.images[i : i + 1].numpy()} for i in range(len(data))]
    told = options(sparsity=0.0, max_drop=5.0)
    told = replace(told, calibration=samples, input_shapes={"image": (1, 3, 10, 10)})
    report = convert(trained_net(), tmp_path / "m.lace", told)
    drops = {a.sparsity: a.drop for a in report.attempts}
    chosen = max(s for s, d in drops.items() if d <= 5.0)
    assert drops[0.0] <= 5.0
    assert report.judged_by == 12
    with lacewing.Session(tmp_path / "m.lace") as session:
        assert session.metadata.get("sparsity", {"share": 0.0})["share"] == pytest.approx(chosen)


# As good as no training.
IDLE = {"epochs": 1, "quantized_epochs": 0, "learning_rate": 1e-6, "schedule": "one-shot"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sparsity": 0.5}, "50% one-shot sparsity on a compact network"),
        ({"sparsity": 0.9}, "noisy layers, below 12 dB: "),
        ({"sparsity": 0.95, "finetune": recipe(**IDLE)}, "points lost on 128 held-out samples"),
    ],
)
def test_more_sparsity_than_the_data_repair_is_warned_of(tmp_path, changes, message):
    told = options(input_shapes={"image": (1, 3, 10, 10)}, **changes)
    report = convert(trained_net(), tmp_path / "m.lace", told)
    assert any(message in warning for warning in report.warnings), report.warnings


def test_a_little_sparsity_that_was_repaired_is_not_warned_of(tmp_path):
    told = options(input_shapes={"image": (1, 3, 10, 10)}, sparsity=0.3, finetune=recipe())
    assert convert(trained_net(), tmp_path / "m.lace", told).warnings == []


def test_options_of_training_without_training_are_refused():
    for changes in ({"epochs": 3}, {"checkpoint": Path("x")}, {"device": "cpu"}):
        with pytest.raises(OptionError, match="belongs to --finetune"):
            options(**changes)
    with pytest.raises(OptionError, match="leave out"):
        options(max_drop=1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{"schedule": "cubic"}, {"schedule": "one-shot", "reconstruct": 1}, {"engine": "nncf"}]
)
def test_two_processes_write_what_they_agree_on_though_each_would_choose_differently(tmp_path, changes):
    status, said, files = in_two(tmp_path, changes)
    assert status == 0, said
    first, second = files
    assert first == second
    with lacewing.Session(tmp_path / "m.lace") as session:
        data = Stripes(128, 3)
        right = [
            int(next(iter(session.run({"image": image[None].numpy()}).values())).argmax()) == int(target)
            for image, target in zip(data.images, data.targets, strict=True)
        ]
    assert np.mean(right) > 0.85


def in_two(folder, changes, *more):
    """The exit status of ``train_in_two.py``, what it says, and the file as each process has it."""
    script = Path(__file__).with_name("train_in_two.py")
    command = [*IN_TWO, script, folder, json.dumps(changes), *more]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300, check=False)
    files = [p.read_bytes() for p in sorted(folder.glob("weights_*"))]
    return done.returncode, done.stderr[-3000:], files


FOUR_EPOCHS = {"schedule": "cubic", "epochs": 4, "quantized_epochs": 2}


@pytest.fixture(scope="module")
def trained_in_two(tmp_path_factory):
    status, said, files = in_two(tmp_path_factory.mktemp("whole"), FOUR_EPOCHS)
    assert status == 0, said
    return files


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 3])
def test_two_processes_that_were_killed_go_on_to_the_same_file(tmp_path, trained_in_two, epoch):
    """In the float stage, while blocks go, and in the quantized one."""
    status, said, files = in_two(tmp_path, FOUR_EPOCHS, epoch)
    assert status != 0 and not files, said
    # Anew from the beginning it would die at its fourth checkpoint.
    status, said, files = in_two(tmp_path, FOUR_EPOCHS, 4)
    assert status == 0, said
    assert files == trained_in_two


@pytest.mark.slow
def test_two_processes_search_and_report_as_one(on_disk, tmp_path):
    """Six trainings one after the other; what the second process would say is not said."""
    command = [*IN_TWO, "-m", "lacewing.cli", "convert", on_disk / "m.onnx", "-o", tmp_path / "m.lace"]
    command += ["--calib", on_disk / "images.npy", "--finetune", on_disk / "recipe.py", "--epochs", 2]
    command += ["--max-drop", 99, "--json", "--report", tmp_path / "r.html"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert len(report["attempts"]) > 2
    assert report["output_bytes"] == (tmp_path / "m.lace").stat().st_size
    assert f"{report['output_bytes']} bytes" in (tmp_path / "r.html").read_text()


def run_cli(*arguments):
    from lacewing.cli import main

    return main([str(a) for a in arguments])


RECIPE = """
import sys
sys.path.insert(0, {folder!r})
import training_cases
def recipe():
    return training_cases.recipe(epochs=2, quantized_epochs=1)
"""


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    """The network as ONNX, calibration samples as .npy, a recipe."""
    folder = tmp_path_factory.mktemp("cli")
    torch.onnx.export(
        trained_net(), (torch.zeros(1, 3, 10, 10),), folder / "m.onnx", dynamo=True, input_names=["image"]
    )
    np.save(folder / "images.npy", Stripes(60, 4).images.numpy())
    (folder / "recipe.py").write_text(RECIPE.format(folder=str(Path(__file__).parent)))
    return folder


@pytest.mark.parametrize("recipe_file", [True, False])
def test_the_command_line_fine_tunes_and_reports(on_disk, tmp_path, capsys, recipe_file):
    told = [on_disk / "recipe.py"] if recipe_file else []
    flags = [
        "--calib",
        on_disk / "images.npy",
        "--sparsity",
        0.5,
        "--epochs",
        2,
        "--checkpoint",
        tmp_path / "kept",
    ]
    flags += ["--report", tmp_path / "r.html", "--json", "--finetune", *told]
    assert run_cli("convert", on_disk / "m.onnx", "-o", tmp_path / "m.lace", *flags) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tuning"]["epochs"] == 2
    assert report["tuning"]["held_out"] == (128 if recipe_file else 12)
    assert report["tuning"]["metric"]["quantized"] > 0.8
    page = (tmp_path / "r.html").read_text()
    assert "Fine-tuning" in page and "Rearrangement" in page
    with lacewing.Session(tmp_path / "m.lace") as session:
        assert session.metadata["fine_tuning"]["epochs"] == 2


def test_training_that_forgets_is_not_what_is_written(on_disk, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(unlabelled, "_FOLDED_RATES", (3.0, 3.0))
    flags = ["--calib", on_disk / "images.npy", "--finetune", "--epochs", 2, "--report", tmp_path / "r.html"]
    assert run_cli("convert", on_disk / "m.onnx", "-o", tmp_path / "m.lace", *flags) == 0
    assert "the file is of before training" in capsys.readouterr().out
    assert "The file is of before training" in (tmp_path / "r.html").read_text()
    plain = ["--calib", on_disk / "images.npy", "-o", tmp_path / "plain.lace"]
    assert run_cli("convert", on_disk / "m.onnx", *plain) == 0
    with lacewing.Session(tmp_path / "m.lace") as kept, lacewing.Session(tmp_path / "plain.lace") as wanted:
        assert "fine_tuning" not in kept.metadata
        images = Stripes(64, 5).images.numpy()
        answers = [
            [int(next(iter(s.run({"image": i[None]}).values())).argmax()) for i in images]
            for s in (kept, wanted)
        ]
    assert np.mean(np.equal(*answers)) > 0.9  # calibrated on the samples that do not judge, and on all


def test_the_command_line_says_what_max_drop_found(on_disk, tmp_path, capsys):
    flags = ["--calib", on_disk / "images.npy", "--max-drop", 5, "--report", tmp_path / "r.html"]
    assert run_cli("convert", on_disk / "m.onnx", "-o", tmp_path / "m.lace", *flags) == 0
    assert "held-out samples" in capsys.readouterr().out
    assert "Search for the sparsity" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    "flags",
    [
        ["--epochs", 3],
        ["--finetune", "absent.py"],
        ["--finetune", "--epochs", 0],
        ["--max-drop", -1],
        ["--max-drop", 1, "--sparsity", 0.5],
    ],
)
def test_flags_that_make_no_sense_are_usage_errors_and_write_nothing(on_disk, tmp_path, capsys, flags):
    told = ["--calib", on_disk / "images.npy", *flags]
    assert run_cli("convert", on_disk / "m.onnx", "-o", tmp_path / "m.lace", *told) == 2
    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in capsys.readouterr().err


def test_max_drop_that_even_the_dense_model_misses_is_an_error(on_disk, tmp_path, capsys, monkeypatch):
    from lacewing.converter import convert as conversion

    monkeypatch.setattr(conversion, "engine_metric", lambda *_: 0.0)
    told = ["--calib", on_disk / "images.npy", "--max-drop", 1]
    assert run_cli("convert", on_disk / "m.onnx", "-o", tmp_path / "m.lace", *told) != 0
    assert "even without sparsity" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
