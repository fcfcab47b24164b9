"""The whole fine-tuning: what it keeps, learns, refuses and warns of."""

from __future__ import annotations

import sys
from collections import OrderedDict
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from graphs import conv, residual_network, samples
from torch import nn
from training_cases import (
    ALONE,
    MENDED,
    Stripes,
    integers_of,
    loss,
    metric,
    options,
    raw_graph,
    recipe,
    trained_net,
    tuned,
)

import lacewing
from lacewing.converter.calibration import open_dataset
from lacewing.converter.convert import convert
from lacewing.converter.errors import OptionError, TrainingError
from lacewing.converter.execute import Executor
from lacewing.converter.ir import Graph, Node
from lacewing.converter.lowering.lower import lower
from lacewing.converter.options import ConvertOptions
from lacewing.converter.passes import run_passes
from lacewing.converter.progress import silent
from lacewing.converter.quantization.layerwise import channel_means, stack
from lacewing.converter.sparsity import channel_pruning
from lacewing.converter.sparsity.budget import LayerBudget, device_profile
from lacewing.converter.sparsity.obs import Block
from lacewing.converter.training import Recipe, finetune
from lacewing.converter.training.data import batches, in_order, steps_per_epoch
from lacewing.converter.training.distillation import Distillation, answers_of, inner_values, squared_error
from lacewing.converter.training.finetune import FineTuning
from lacewing.converter.training.loop import Stage, Trainer
from lacewing.converter.training.masks import BlockMasks
from lacewing.converter.training.network import Network
from lacewing.converter.training.one_shot import prune_once
from lacewing.converter.training.recipe import OUTPUTS, load_recipe


def assert_engines_bits(result):
    images = Stripes(32, 9).images
    with torch.no_grad():
        (ours,) = (y.numpy() for y in result.network({"image": images}).values())
    with lacewing.Session(integers_of(result)) as session:
        (name,) = [o.name for o in session.outputs]
        for i, wanted in enumerate(ours):
            assert session.run({"image": images[i : i + 1].numpy()})[name][0].tobytes() == wanted.tobytes(), i


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


def pruned_quietly(readers, shown=False):
    """How many of the last four of eight rows' blocks stay, those with a quarter of the others' power, before ``readers``."""
    rng, shapes = np.random.default_rng(0), {"image": (1, 32, 8, 8)}
    layer = conv(rng, shapes, "layer", "image", 8)
    layer.weights["weight"][4:] *= 0.5
    nodes = [layer]
    for i, op in enumerate(readers):
        shapes[f"v{i}"] = shapes["layer"]
        weights, attrs = {}, {"function": "tanh"}
        if op == "batch_norm":
            weights = dict.fromkeys(("scale", "variance"), np.ones(8, np.float32))
            weights |= dict.fromkeys(("offset", "mean"), np.zeros(8, np.float32))
            attrs = {"epsilon": 1e-5}
        nodes.append(Node(op, f"v{i}", ["layer"], f"v{i}", attrs, weights, [f"v{i}"]))
    outputs = [n.output for n in nodes[1:]] + ["layer"] * (shown or not readers)
    graph = Graph("g", ["image"], outputs, nodes, shapes)
    inputs = {"image": rng.normal(size=(32, 32, 8, 8)).astype(np.float32)}
    kept = prune_once(graph, {"layer": LayerBudget(Block(1, 4), 0.5)}, inputs, 0, silent)
    return kept["layer"][4:].sum()


def test_quiet_rows_count_by_their_power_only_before_a_batch_norm_that_alone_reads_them():
    alone = pruned_quietly(["batch_norm"])
    for readers, shown in (
        ([], False),
        (["unary"], False),
        (["batch_norm", "unary"], False),
        (["batch_norm"], True),
    ):
        assert pruned_quietly(readers, shown) > 1.3 * alone, (readers, shown)


def test_a_training_of_one_step_leaves_all_blocks_out_that_it_should():
    result, longer = tuned(batch_size=512, epochs=2, ramp=1.0, updates=1), tuned()
    assert result.history["float"][-1]["sparsity"] == longer.history["float"][-1]["sparsity"] > 0.4


def test_square_head_is_relative():
    teacher = torch.randn(8, 5)
    assert float(squared_error(teacher, teacher)) == 0
    assert float(squared_error(teacher * 10, teacher * 0)) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("count", [4, 9, 64])  # less than is compared inside, one more, four times as much
def test_answers_are_compared_on_all_of_a_batch_and_inner_values_on_a_part(count):
    graph = raw_graph()
    inputs, _ = Stripes(count, 0).batch(range(count), torch.Generator())
    own, values = answers_of(graph, graph), inner_values(graph)
    answers = Distillation(Network(graph), own, [], {}, recipe(features=0))
    teacher = Distillation(Network(graph), own, values, {}, recipe())
    student = Network(graph).train()(inputs, teacher.wanted(count))
    some = min(count, max(8, count // 4))
    assert {len(student[v]) for v in values} == {some} and len(student[graph.outputs[0]]) == count
    wanted = Network(graph).eval()(inputs, dict.fromkeys(values, count))
    inner = [squared_error(wanted[v][:some], student[v]) for v in values]
    assert inner and min(inner) > 0
    expected = answers.loss(inputs, student) + torch.stack(inner).mean()
    torch.testing.assert_close(teacher.loss(inputs, student), expected)


@pytest.mark.parametrize("outputs", OUTPUTS)
def test_a_row_of_values_is_compared_by_value_and_one_of_classes_by_softmax(outputs):
    """Scores that are all higher by one are the same answer of a classifier, and another position of a box."""
    graph = raw_graph()
    teacher = Distillation(
        Network(graph), answers_of(graph, graph), [], {}, recipe(features=0, outputs=outputs)
    )
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
    monkeypatch.setattr(channel_pruning, "CHANNEL_WEIGHT", 0.0)  # however dear, as many as the time asks for
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
            values = deepcopy(network).train()(
                inputs, dict.fromkeys((n.inputs[0] for n in norms), told.batch_size)
            )
            for n in norms:
                wanted[n.name, "mean"].append(values[n.inputs[0]].mean((0, 2, 3)))
                wanted[n.name, "variance"].append(values[n.inputs[0]].var((0, 2, 3)))
    for n in norms:
        for moment in ("mean", "variance"):
            average = torch.stack(wanted[n.name, moment]).mean(0)
            torch.testing.assert_close(network.weight(n, moment), average, atol=1e-5, rtol=1e-4)


def test_the_same_seed_gives_the_same_file():
    assert integers_of(tuned()) == integers_of(tuned())


def test_a_loss_that_is_not_finite_stops_with_advice():
    with pytest.raises(TrainingError, match="learning_rate"):
        tuned(loss=lambda outputs, target: next(iter(outputs.values())).sum() * float("nan"))


def test_a_batch_of_one_value_per_channel_stops_with_advice(tmp_path):
    network = nn.Sequential(OrderedDict(a=nn.Flatten(), b=nn.Linear(300, 16), c=nn.BatchNorm1d(16))).eval()
    samples = [{"input": image[None].numpy()} for image in Stripes(8, 4).images]
    told = Recipe(torch.zeros(8, 3, 10, 10), batch_size=1)
    with pytest.raises(TrainingError, match="c: a batch norm needs more than one value per channel"):
        convert(network, tmp_path / "m.lace", ConvertOptions(samples, finetune=told, device="cpu"))


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
        ({"epochs": 2.5}, "epochs is a whole number, not 2.5"),
        ({"batch_size": 256 / 3}, "batch_size is a whole number"),
        ({"learning_rate": "fast"}, "learning_rate is a finite number, not 'fast'"),
        ({"quantized_learning_rate": float("inf")}, "quantized_learning_rate is a finite number"),
        ({"weight_decay": -1e-4}, "weight_decay must be 0 or more"),
        ({"answers": -1}, "answers must be 0 or more"),
        ({"watch": "off"}, "watch is True or False"),
        ({"teacher": 3}, "torch module or the path of a model, not int"),
        ({"teacher": "larger.onnx"}, "features=0"),
        ({"teacher": "larger.onnx", "features": 0, "answers": 0}, "answers above 0"),
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


def test_a_recipe_imports_the_modules_beside_it(tmp_path, monkeypatch):
    """When it is read, and when what it defines is called."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    (tmp_path / "data_beside_recipe.py").write_text("def train():\n    return [1, 2]\n")
    text = "def recipe():\n    from data_beside_recipe import train\n    return Recipe(train())\n"
    (tmp_path / "r.py").write_text("from lacewing.converter.training import Recipe\n" + text)
    assert load_recipe(tmp_path / "r.py").train == [1, 2]


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


def fresh_batch_norm() -> nn.Module:
    """Its batch norm has no offset yet, so it folds into the padded layer behind it, as it no longer does when trained."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(16), nn.Conv2d(16, 16, 3, padding=1)]
    network = nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))
    return network.eval()


def test_a_batch_norm_that_learns_an_offset_becomes_a_layer(tmp_path):
    samples = [{"input": image[None].numpy()} for image in Stripes(16, 4).images]
    told = Recipe(torch.utils.data.TensorDataset(Stripes(64, 2).images), epochs=2, quantized_epochs=1)
    options = ConvertOptions(samples, sparsity=0.5, finetune=told, device="cpu")
    report = convert(fresh_batch_norm(), tmp_path / "m.lace", options)
    assert [la.name for la in report.layers if la.kind == "depthwise"] == ["2"]


@pytest.mark.parametrize("rates", [{"quantized_learning_rate": 10.0}, {"learning_rate": 1e4}])
def test_a_training_that_runs_away_stops_with_advice(tmp_path, rates):
    told = options(finetune=recipe(**{"schedule": "one-shot", "batch_size": 16, **rates}), device="cpu")
    with pytest.raises(TrainingError, match="lower the recipe's (quantized_)?learning_rate"):
        convert(trained_net(), tmp_path / "m.lace", told)
    assert list(tmp_path.iterdir()) == []


def test_a_recipes_path_is_no_recipe():
    with pytest.raises(OptionError, match="load_recipe"):
        options(finetune="recipe.py")
    assert options(finetune=True, checkpoint="kept").checkpoint == Path("kept")


def test_options_of_training_without_training_are_refused():
    for changes in ({"epochs": 3}, {"checkpoint": Path("x")}, {"device": "cpu"}):
        with pytest.raises(OptionError, match="belongs to --finetune"):
            options(**changes)
    with pytest.raises(OptionError, match="leave out"):
        options(max_drop=1.0)
