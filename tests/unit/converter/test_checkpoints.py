"""Trainings that are killed, run out of room or are given the checkpoint of another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_cases import (
    MENDED,
    Stripes,
    integers_of,
    loss,
    options,
    recipe,
    sparse_masks,
    trained_net,
    tuned,
)

import lacewing
from lacewing.converter.convert import convert
from lacewing.converter.errors import OptionError
from lacewing.converter.sparsity.budget import LayerBudget
from lacewing.converter.sparsity.obs import Block
from lacewing.converter.training import finetune
from lacewing.converter.training.checkpoint import Checkpoints, fingerprint_of_plan
from lacewing.converter.training.distributed import Workers
from lacewing.converter.training.loop import Stage
from lacewing.converter.training.network import Network
from lacewing.converter.training.saliency import Saliency
from lacewing.converter.training.unlabelled import HELD_OUT


class Interrupted(Exception):
    """Stands for a kill."""


def mixed_up(outputs, target):
    """A loss that draws: mixup, and dropout of the answers."""
    (answers,) = outputs.values()
    others = torch.from_numpy(np.random.permutation(len(target)))
    share, kept = float(np.random.beta(0.4, 0.4)), {"logits": torch.nn.functional.dropout(answers, 0.1)}
    return share * loss(kept, target) + (1 - share) * loss(kept, target[others])


NUMPY = {"learning_rate": np.float64(2e-3), "batch_size": np.int64(64), "answers": np.float32(0.5)}


@pytest.mark.parametrize(
    ("epoch", "changes"),
    [(1, {}), (2, {}), (3, {}), (1, MENDED), (1, {"loss": mixed_up}), (3, {"loss": mixed_up}), (1, NUMPY)],
)
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


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path, monkeypatch):
    from lacewing.converter import output

    def refused(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(output.tempfile, "TemporaryFile", refused)
    with pytest.raises(lacewing.errors.OutputError, match="not writable"):
        Checkpoints(tmp_path / "kept", "any")


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


@pytest.mark.parametrize("changed", ["one that teaches", "one that judges"])
def test_without_a_recipe_a_checkpoint_is_refused_where_any_sample_is_another(tmp_path, changed):
    samples = [{"image": image[None].numpy()} for image in Stripes(100, 4).images]
    told = options(finetune=True, epochs=2, calibration_count=8, checkpoint=tmp_path / "kept", device="cpu")
    told = replace(told, calibration=samples, input_shapes={"image": samples[0]["image"].shape})
    convert(trained_net(), tmp_path / "m.lace", told)
    place = {"one that teaches": 1, "one that judges": HELD_OUT - 1}[changed]
    others = [*samples]
    others[place] = {"image": samples[place]["image"] + 1}
    with pytest.raises(OptionError, match="calibration samples"):
        convert(trained_net(), tmp_path / "m.lace", replace(told, calibration=others))


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
