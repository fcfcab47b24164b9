"""The accuracy benchmark's own logic: augmentation, networks that become narrower, the way out of torch."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import accuracy.cifar
import numpy as np
import pytest
import torch
from accuracy import train
from accuracy.base import mobilenet
from accuracy.cells import NETWORKS as CELL_NETWORKS
from accuracy.cells import PARTS, Cell, described
from accuracy.channels import narrow
from accuracy.cifar import CifarTest, CifarTrain, normalized
from accuracy.measure import export_onnx, of_module, top1
from accuracy.networks import MobileNetV1, ResNet, pretrained_resnet, resnet_widths
from accuracy.patterns import SingleWeights, TwoOfFour
from accuracy.plots import pictures as pictures_of
from accuracy.rows import merged
from accuracy.tables import tables
from accuracy.train import SHAPE, as_fast, predicted_milliseconds
from torch import nn

from lacewing.converter.calibration import open_dataset
from lacewing.converter.execute import Executor
from lacewing.converter.options import ConvertOptions
from lacewing.converter.progress import silent
from lacewing.converter.source import load_graph, load_training_graph
from lacewing.converter.training import Recipe
from lacewing.converter.training.distributed import workers
from lacewing.profiles.profile import load as load_profile
from lacewing.profiles.profile import to_toml


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 32, 32), generator=seeded(seed), dtype=torch.uint8)


def lively(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights with the statistics that belong to them: no two channels alike, none without a signal."""
    torch.manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.weight.data.uniform_(0.5, 1.5)
            layer.bias.data.uniform_(-0.5, 0.5)
            layer.momentum = 1.0
    return settled(network)


def settled(network: nn.Module) -> nn.Module:
    """With the batch statistics of some images."""
    network.train()(normalized(pictures(32)))
    return network.eval()


NETWORKS = {
    "resnet20": lambda: lively(ResNet(resnet_widths(20))),
    "resnet56": lambda: lively(ResNet(resnet_widths(56))),
    "mobilenet": lambda: lively(MobileNetV1()),
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    return NETWORKS[request.param]()


@pytest.mark.parametrize("kind, sparsity", [(SingleWeights, 0.75), (SingleWeights, 0.3), (TwoOfFour, 0.5)])
def test_other_patterns_drop_what_they_say_before_training(kind, sparsity):
    graph = load_training_graph(lively(ResNet(resnet_widths(20))), SHAPE)
    samples = [{"image": normalized(pictures(1, seed)).numpy()} for seed in range(4)]
    options = ConvertOptions(samples, calibration_count=4, sparsity=sparsity, block="1x4")
    dataset = open_dataset(samples, {v: graph.shapes[v] for v in graph.inputs})
    recipe = Recipe(CifarTrain(pictures(), torch.arange(8)), schedule="one-shot")
    tuning = kind(graph, dataset, recipe, options, workers("cpu"), silent)
    budgets = tuning.plan().budgets
    masks = tuning.masks(graph, budgets)
    tuning.prune(graph, masks)
    assert masks.sparsity() == pytest.approx(sparsity, abs=0.02)
    if kind is TwoOfFour:
        assert all((keep.reshape(-1, 4).sum(axis=1) == 2).all() for keep in masks.keep.values())


def test_a_generator_decides_the_augmentation():
    train = CifarTrain(pictures(), torch.arange(8))
    order = [3, 1, 3, 7]
    first, labels = train.batch(order, seeded(5))
    again, _ = train.batch(order, seeded(5))
    other, _ = train.batch(order, seeded(6))
    assert labels.tolist() == order
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["image"], other["image"])
    assert not torch.equal(first["image"][0], first["image"][2]), "the same image twice, but one augmentation"


def test_an_augmented_image_is_a_mirrored_crop():
    """Against the plain definition: pad by reflection, cut, flip; every one of the 9 x 9 x 2 is seen."""
    images = pictures(1)
    batch, _ = CifarTrain(images, torch.zeros(1, dtype=torch.int64)).batch([0] * 2000, seeded(1))
    padded = nn.functional.pad(images.float(), (4, 4, 4, 4), mode="reflect")
    expected = set()
    for y in range(9):
        for x in range(9):
            crop = padded[:, :, y : y + 32, x : x + 32].to(torch.uint8)
            expected |= {normalized(view).numpy().tobytes() for view in (crop, crop.flip(3))}
    assert len(expected) == 162
    assert {image.numpy().tobytes() for image in batch["image"]} == expected


def test_without_a_generator_images_stay_as_they_are():
    images, labels = pictures(), torch.arange(8)
    plain, _ = CifarTrain(images, labels).batch([2, 0])
    assert torch.equal(plain["image"], CifarTest(images, labels).batch([2, 0])[0]["image"])
    pixel = (float(images[2, 1, 4, 5]) / 255 - 0.456) / 0.224
    assert plain["image"][0, 1, 4, 5].item() == pytest.approx(pixel, abs=1e-6)


def test_top1_counts_the_last_short_batch():
    test = CifarTest(pictures(1).expand(501, -1, -1, -1), torch.arange(501) % 10)

    def always_zero(images: torch.Tensor) -> torch.Tensor:
        return torch.eye(10)[:1].expand(len(images), -1)

    assert top1(always_zero, test) == pytest.approx(100 * 51 / 501)


def test_all_channels_are_the_same_network(network):
    copy = narrow(network, 1.0, normalized(pictures()))
    images = normalized(pictures(4, seed=1))
    assert torch.equal(of_module(copy)(images), of_module(network)(images))


@pytest.mark.parametrize("share", [0.05, 0.4, 0.75])
def test_narrow_networks_hold_together(network, share):
    small = narrow(network, share, normalized(pictures()))
    assert of_module(small)(normalized(pictures(3))).shape == (3, 10)
    wide = dict(network.named_parameters())
    for name, parameter in small.named_parameters():
        for got, had in zip(parameter.shape, wide[name].shape, strict=True):
            assert got == had or (got % 4 == 0 and abs(got - share * had) <= 4), (name, got, had)


def kill(norm: nn.BatchNorm2d, channels: list[int]) -> None:
    norm.weight.data[channels] = 0
    norm.bias.data[channels] = 0


def test_the_dead_half_of_a_resnet_goes_first():
    """Channels that are always zero, in the streams and inside the blocks: without them the function is the same."""
    network = NETWORKS["resnet20"]()
    rng = np.random.default_rng(0)
    dead = [[int(c) for c in rng.choice(16, 8, replace=False)]]
    for width in (
        16,
        32,
    ):  # what a stage lost, the next one does not get; of its own new channels half are dead
        front = width // 2
        fresh = [*range(front), *range(front + width, 2 * width)]
        new = rng.choice(fresh, width // 2, replace=False)
        dead.append([front + c for c in dead[-1]] + [int(c) for c in new])
    kill(network.bn1, dead[0])
    for channels, stage in zip(dead, (network.layer1, network.layer2, network.layer3), strict=True):
        for block in stage:
            kill(block.bn2, channels)
            kill(block.bn1, [int(c) for c in rng.choice(2 * len(channels), len(channels), replace=False)])
    small = narrow(network, 0.5, normalized(pictures()))
    assert small.widths.streams == (8, 16, 32)
    images = normalized(pictures(4, seed=1))
    torch.testing.assert_close(of_module(small)(images), of_module(network)(images), rtol=1e-4, atol=1e-4)


def test_the_dead_half_of_a_mobilenet_goes_first():
    network = NETWORKS["mobilenet"]()
    rng = np.random.default_rng(0)
    norms = [network.bn, *(block.bn2 for block in network.blocks)]
    for i, norm in enumerate(norms):
        width = norm.num_features
        channels = [int(c) for c in rng.choice(width, width // 2, replace=False)]
        kill(norm, channels)
        if i < len(network.blocks):
            kill(network.blocks[i].bn1, channels)
    settled(network)
    small = narrow(network, 0.5, normalized(pictures()))
    images = normalized(pictures(4, seed=1))
    torch.testing.assert_close(of_module(small)(images), of_module(network)(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("share", [0, -0.5, 1.5])
def test_no_such_share(share):
    with pytest.raises(ValueError, match=f"share is {share}"):
        narrow(NETWORKS["mobilenet"](), share, normalized(pictures()))


@pytest.mark.slow
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_exported_networks_compute_the_same(network, share, tmp_path):
    """What the converter imports is the module's function, narrow ones with their uneven shortcuts included."""
    small = narrow(network, share, normalized(pictures()))
    graph = load_graph(export_onnx(small, tmp_path / "network.onnx"), {})
    assert (graph.inputs, graph.outputs) == (["image"], ["logits"])
    image = normalized(pictures(1, seed=1))
    got = Executor(graph).run({"image": image.numpy()})["logits"]
    np.testing.assert_allclose(got, of_module(small)(image).numpy(), rtol=1e-3, atol=1e-3)


def test_a_state_of_another_length_is_not_resumed(tmp_path):
    path = tmp_path / "state.pt"
    torch.save({"epochs": 3, "done": []}, path)
    with pytest.raises(ValueError, match="3 epochs, not 5"):
        mobilenet(5, path)


@pytest.mark.slow
@pytest.mark.needs_data
def test_the_checkpoint_scores_as_published(data):
    """81.06 % on the JPEG copies, says the data's README, of this preprocessing."""
    assert top1(of_module(pretrained_resnet(20, data)), accuracy.cifar.test_set(data)) == pytest.approx(81.06)


def test_no_two_trainings_share_a_file():
    cells = {cell for part in PARTS.values() for cell in part()}
    assert len({cell.id for cell in cells}) == len(cells)


def row(metric, median, by_seed=None, recipe="r", start=70.0, **cell):
    loss = {seed: 1 - top1 / 100 for seed, top1 in (by_seed or {}).items()}
    trained = {} if by_seed is None else {"by_seed": by_seed, "recipe": recipe, "start": start, "loss": loss}
    return described(Cell("n", "auto", **cell)) | {"metric": metric, "median": median} | trained


def test_older_rows_stay_until_their_training_is_there_again():
    older = [
        row("top1", 80.0, {"0": 80.0}, sparsity=0.5),
        row("latency_ms", 2.0, sparsity=0.5),
        row("top1", 70.0, {"0": 70.0}, sparsity=0.75),
        row("latency_ms", 1.0, sparsity=0.75),
    ]
    new = [row("top1", 81.0, {"0": 81.0}, sparsity=0.5), row("latency_ms", 1.9, sparsity=0.5)]
    found = {(r["sparsity"], r["metric"]): r["median"] for r in merged(new, older)}
    assert found == {(0.5, "top1"): 81, (0.5, "latency_ms"): 1.9, (0.75, "top1"): 70, (0.75, "latency_ms"): 1}


def test_seeds_of_an_older_row_join_the_new_one():
    older = [row("top1", 80.5, {"0": 80.0, "1": 81.0})]
    (found,) = merged([row("top1", 83.0, {"1": 84.0, "2": 82.0})], older)
    assert found["by_seed"] == {"0": 80.0, "1": 84.0, "2": 82.0}
    assert (found["median"], found["min"], found["p90"], found["runs"]) == (82.0, 80.0, 84.0, 3)
    assert found["loss"] == pytest.approx({"0": 0.2, "1": 0.16, "2": 0.18})


@pytest.mark.parametrize("other", [{"recipe": "other"}, {"start": 70.2}], ids=["recipe", "begun from"])
def test_seeds_that_were_trained_otherwise_do_not_join(other):
    older = [row("top1", 80.5, {"0": 80.0, "1": 81.0}, **other)]
    (found,) = merged([row("top1", 83.0, {"1": 84.0, "2": 82.0})], older)
    assert found["by_seed"] == {"1": 84.0, "2": 82.0}


@pytest.mark.parametrize("changed", ["RATE", "REVISION"])
def test_a_result_of_another_recipe_is_not_the_cells(tmp_path, monkeypatch, changed):
    monkeypatch.setattr(train, "FOLDER", tmp_path)
    cell = Cell(CELL_NETWORKS[0], "auto", 0.5)
    assert train.result_of(cell) is None
    kept = {"cell": asdict(cell), "recipe": train.recipe_id(cell)}
    (tmp_path / f"{cell.id}.json").write_text(json.dumps(kept))
    assert train.result_of(cell) == kept
    monkeypatch.setattr(train, changed, 2 * getattr(train, changed))
    assert train.result_of(cell) is None


def test_every_training_has_a_recipe_and_no_two_of_one_name(monkeypatch):
    images = CifarTrain(pictures(1).expand(train.LITTLE, -1, -1, -1), torch.zeros(train.LITTLE))
    monkeypatch.setattr(train, "train_set", lambda: images)
    cells = {cell for part in PARTS.values() for cell in part()}
    for cell in cells:
        assert train.recipe_id(cell)
        if cell.data != "plain":
            train.recipe_of(cell, CifarTest(pictures(), torch.arange(8)))
    by_length = {train.recipe_id(replace(Cell(CELL_NETWORKS[0], "auto", 0.5), epochs=n)) for n in (0, 3, 6)}
    assert len(by_length) == 3


def test_a_taught_cell_learns_from_the_float_network_of_its_length(tmp_path, monkeypatch):
    made = []

    def trained(cell, device):
        made.append(cell)
        (tmp_path / f"{cell.id}.onnx").touch()
        return {}

    monkeypatch.setattr(train, "FOLDER", tmp_path)
    monkeypatch.setattr(train, "_trained", trained)
    taught = [Cell(CELL_NETWORKS[0], "auto", 0.3, seed, taught=True, epochs=6) for seed in (0, 1)]
    (teacher,) = {train.teacher_of(cell, "cpu") for cell in taught}
    assert made == [Cell(CELL_NETWORKS[0], "float", epochs=6)] and teacher.exists()
    monkeypatch.setattr(train, "RATE", 2 * train.RATE)
    assert train.teacher_of(taught[0], "cpu") == teacher
    assert len(made) == 2, "the network of an outdated recipe teaches"


def drawn(block, top1, epochs, **more):
    """Rows of one cell, as the tables want them."""
    common = (
        described(Cell(CELL_NETWORKS[0], block, 0.5, epochs=epochs))
        | {"date": "today", "machine": "this one"}
        | more
    )
    accuracy = {
        "metric": "top1",
        "target": "x86",
        "median": top1,
        "min": top1,
        "p90": top1,
        "runs": 1,
        "loss": {"0": 0.25},
    }
    accuracy |= {"measured_sparsity": 0.5, "equal_images": 1000, "start": 87.9}
    return [
        common | accuracy,
        common | {"metric": "latency_ms", "target": "x86-avx2", "median": 1 + top1 / 100},
    ]


def described_by(rows):
    """What docs/data/accuracy.json holds."""
    told = {"trained_on": ["cpu"], "date": "today", "quantized_epochs": 1}
    return told | {"epochs": {CELL_NETWORKS[0]: 20}, "rows": rows}


def test_times_of_two_machines_share_a_table_that_tells_them_apart_but_no_picture():
    usual = [*drawn("dense", 90.0, 0), *drawn("auto", 89.5, 0)]
    other = drawn("1x4", 89.0, 0, machine="another")
    text = tables(described_by([*other, *usual]))
    assert "A: this one, B: another" in text
    ends = [line.split("|")[-2].strip() for line in text.splitlines() if "89." in line]
    assert ends == ["today A", "today B"]
    (name,) = [name for name in pictures_of(described_by(usual)) if "x86" in name]
    without_time = [r for r in other if r["metric"] == "top1"]
    shown = pictures_of(described_by([*other, *usual]))[name]
    assert shown == pictures_of(described_by([*without_time, *usual]))[name]
    same = drawn("1x4", 89.0, 0)
    assert shown != pictures_of(described_by([*same, *usual]))[name]


def test_trainings_of_different_length_are_compared_among_themselves():
    rows = [*drawn("float", 90.0, 0), *drawn("auto", 89.5, 0), *drawn("1x4", 89.0, 0)]
    rows += [*drawn("float", 80.0, 6), *drawn("auto", 79.0, 6), *drawn("1x4", 78.0, 6)]
    document = described_by(rows)
    text, drawings = tables(document), pictures_of(document)
    assert text.count("### ") == 2 and ", 20 epochs" in text and ", 6 epochs" in text
    assert [line.split("|")[8].strip() for line in text.splitlines() if "mix" in line] == ["-0.50", "-1.00"]
    assert [name for name in drawings if "x86" in name] == [
        f"accuracy_{CELL_NETWORKS[0]}_x86.svg",
        f"accuracy_{CELL_NETWORKS[0]}_6_epochs_x86.svg",
    ]


@pytest.mark.parametrize(
    "change, said",
    [
        ({"gradual": True}, ", gradually"),
        ({"taught": True}, ", taught by the finished float network"),
        ({"rearrange": False}, ", not rearranged"),
        ({"distill": False}, ", without teacher"),
        ({"engine": "nncf"}, ", NNCF quantizers"),
    ],
)
def test_another_way_of_training_has_a_row_and_no_point_in_the_picture(change, said):
    usual = [*drawn("float", 90.0, 0), *drawn("auto", 89.5, 0), *drawn("1x4", 89.0, 0)]
    document = described_by([])
    more = document | {"rows": [*drawn("auto", 88.0, 0, **change), *usual]}
    lines = [line for line in tables(more).splitlines() if "%" in line and line.startswith("|")]
    assert lines[-1].split("|")[1].strip() == f"converter's mix{said}"
    assert pictures_of(more) == pictures_of(document | {"rows": usual})


def test_rows_are_compared_with_the_float_network_that_is_trained_as_usual():
    usual = [*drawn("float", 90.0, 0), *drawn("auto", 89.5, 0)]
    document = described_by([])
    more = document | {"rows": [*drawn("float", 95.0, 0, taught=True), *usual]}
    assert "| -0.50 |" in tables(more)
    assert pictures_of(more) == pictures_of(document | {"rows": usual})


def test_a_time_is_predicted_and_met_by_the_profile_of_the_cell(tmp_path, monkeypatch):
    """On a device whose every kernel is half as fast the same part of the time is twice as long."""
    images = CifarTrain(pictures(1).expand(train.CALIBRATION, -1, -1, -1), torch.zeros(train.CALIBRATION))
    monkeypatch.setattr(train, "train_set", lambda: images)
    shipped = load_profile("x86-avx2")
    costs = {kernel: {unit: 2 * n for unit, n in units.items()} for kernel, units in shipped.costs.items()}
    slow = tmp_path / "slow.toml"
    slow.write_text(to_toml(replace(shipped, costs=costs)))
    graph = load_training_graph(MobileNetV1().eval(), SHAPE)
    cells = [Cell(CELL_NETWORKS[2], "auto", time=0.5, profile=name) for name in (shipped.name, str(slow))]
    fast, halved = (train.options_of(cell, graph) for cell in cells)
    assert (fast.profile, halved.profile) == (shipped.name, str(slow))
    assert halved.latency == pytest.approx(2 * fast.latency, rel=1e-3)


def test_channels_go_until_the_time_is_met():
    graph = load_training_graph(MobileNetV1().eval(), SHAPE)
    dense = predicted_milliseconds(graph, ConvertOptions([]))
    narrowed = as_fast(lively(MobileNetV1()), 0.6, normalized(pictures(32)))
    assert 0.5 * dense < predicted_milliseconds(narrowed, ConvertOptions([])) <= 0.6 * dense
