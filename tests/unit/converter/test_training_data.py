"""What training draws from a recipe's data: any usual dataset, the same again for the same seed, and plain words where it fails."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from lacewing.converter.calibration import open_dataset
from lacewing.converter.errors import OptionError, TrainingError
from lacewing.converter.training.data import batches, check_divisible
from lacewing.converter.training.recipe_data import TorchData, as_data
from lacewing.converter.training.recipe_functions import loss_of, mean_metric
from lacewing.converter.training.unlabelled_data import Unlabelled

SHAPES = {"image": (1, 3, 4, 4)}
IMAGES = torch.arange(8 * 48, dtype=torch.float32).reshape(8, 3, 4, 4)


class Items:
    """A map-style dataset of whatever ``make`` gives for an index."""

    def __init__(self, make, count=8):
        self._make, self._count = make, count

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        return self._make(index)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda i: IMAGES[i], lambda _: None),
        (lambda i: IMAGES[i].numpy(), lambda _: None),
        (lambda i: IMAGES[i].double(), lambda _: None),
        (lambda i: {"image": IMAGES[i]}, lambda _: None),
        (lambda i: {"image": IMAGES[i], "name": f"{i}.jpg"}, lambda _: None),
        (lambda i: (IMAGES[i],), lambda _: None),
        (lambda i: (IMAGES[i], None), lambda _: None),
        (lambda i: (IMAGES[i], i), torch.tensor),
        (lambda i: ({"image": IMAGES[i]}, {"class": i}), lambda indices: {"class": torch.tensor(indices)}),
    ],
    ids=["tensor", "numpy", "float64", "dict", "more", "1-tuple", "no target", "pair", "dicts"],
)
@pytest.mark.parametrize("indices", [[5], [3, 1], [0, 2, 7]])
def test_every_usual_item_is_understood(make, wanted, indices):
    inputs, target = as_data(Items(make), SHAPES, "train").batch(indices, seeded())
    assert list(inputs) == ["image"] and inputs["image"].dtype == torch.float32
    assert torch.equal(inputs["image"], IMAGES[indices])
    torch.testing.assert_close(target, wanted(indices))


def test_a_tensor_dataset_needs_no_targets():
    inputs, target = as_data(TensorDataset(IMAGES), SHAPES, "train").batch([1], seeded())
    assert torch.equal(inputs["image"], IMAGES[[1]]) and target is None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda i: {"picture": IMAGES[i]},
            OptionError,
            r"give 'picture', the network reads 'image' \[1, 3, 4, 4\]",
        ),
        (lambda i: IMAGES[i, :, :2], OptionError, r"'image' \[1, 3, 2, 4\].*'image' \[1, 3, 4, 4\]"),
        (lambda i: (IMAGES[i], i, i), TrainingError, "3 parts"),
        (
            lambda i: IMAGES[i] if i else 1 / 0,
            TrainingError,
            r"train data failed with ZeroDivisionError.*samples 0",
        ),
        (lambda i: "x.jpg", TrainingError, "train data failed"),
    ],
    ids=["name", "size", "three", "raises", "text"],
)
def test_data_that_do_not_fit_are_named_with_what_would(make, error, message):
    with pytest.raises(error, match=message):
        as_data(Items(make), SHAPES, "train").batch([0, 1], seeded())


@pytest.mark.parametrize("data", [Items(lambda i: IMAGES[i], 0), TensorDataset(IMAGES[:0])])
def test_empty_data_are_refused(data):
    with pytest.raises(OptionError, match="validation data are empty"):
        as_data(data, SHAPES, "validation")


def noise(_):
    """Augmentation as transforms draw it: from the global numbers of all three libraries."""
    return torch.rand(3, 4, 4) + np.random.rand() + random.random()


class NoisyBatches(Items):
    """Whole batches, which draw as ``noise`` does, not from their generator."""

    def batch(self, indices, generator):
        return {"image": torch.stack([self[i] for i in indices])}, None


@pytest.mark.parametrize("kind", [Items, NoisyBatches])
def test_random_datasets_follow_the_generator_and_leave_the_global_numbers_alone(kind):
    """So that a training that goes on from a checkpoint sees what the whole one sees."""
    data = as_data(kind(noise), SHAPES, "train")
    epoch = [[inputs["image"] for inputs, _ in batches(data, 4, 7, epoch)] for epoch in (0, 1, 2)]
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    wanted = (torch.rand(1).item(), np.random.rand(), random.random())
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    again = [inputs["image"] for inputs, _ in batches(data, 4, 7, 2)]
    assert (torch.rand(1).item(), np.random.rand(), random.random()) == wanted
    assert all(torch.equal(a, b) for a, b in zip(again, epoch[2], strict=True))
    assert not torch.equal(epoch[0][0], epoch[1][0])
    assert not torch.equal(epoch[0][0], epoch[0][1])


@pytest.mark.parametrize(("world", "size", "parts"), [(2, 5, 2), (3, 8, 2), (4, 100, 2), (8, 8, 1)])
def test_all_processes_get_as_many_samples_of_each_batch(world, size, parts):
    data = TorchData(Items(lambda i: (IMAGES[i], i)), "image")
    drawn = [
        [target.tolist() for _, target in batches(data, size, 0, 0, rank, world)] for rank in range(world)
    ]
    assert {len(part) for of_rank in drawn for part in of_rank} == {parts}
    seen = [i for of_rank in drawn for part in of_rank for i in part]
    assert len(seen) == len(set(seen)), "no sample twice"


@pytest.mark.parametrize(("count", "size", "what"), [(2, 8, "number of train samples"), (8, 2, "batch_size")])
def test_fewer_samples_than_processes_are_refused(count, size, what):
    data = TorchData(Items(lambda i: IMAGES[i], count), "image")
    check_divisible(data, size, 2)
    with pytest.raises(OptionError, match=f"{what}, 2, is below the 3 processes"):
        check_divisible(data, size, 3)


@pytest.mark.parametrize("shape", [(1, 3, 8, 6), (1, 8, 6, 3)], ids=["channels first", "channels last"])
def test_augmentation_moves_pixels_and_never_mixes_colours(shape):
    axis = shape.index(3)
    colours = torch.tensor([1.0, 2.0, 3.0]).reshape([3 if i == axis else 1 for i in range(4)])
    rows = torch.arange(shape[-2] if axis == 1 else shape[1]).float() * 10
    image = (colours + rows.reshape([-1 if i == (2 if axis == 1 else 1) else 1 for i in range(4)])).expand(
        shape
    )
    dataset = open_dataset([{"image": image.numpy().copy()}] * 16, {"image": shape})
    drawn = Unlabelled(dataset, augment=True).batch(range(16), seeded())[0]["image"]
    assert drawn.shape == (16, *shape[1:])
    assert not torch.equal(drawn, image.expand_as(drawn)), "rows move"
    for i in range(3):
        assert (drawn.select(axis, i) % 10 == i + 1).all()


OUTPUTS = {"logits": torch.zeros(4, 5)}


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (lambda o, t: o["scores"], r"metric failed with KeyError: 'scores'.*'logits' \[4, 5\]"),
        (lambda o, t: o["logits"].mean(), r"gave a tensor \[\] for 4 samples"),
        (lambda o, t: o["logits"], r"gave a tensor \[4, 5\] for 4 samples"),
        (lambda o, t: 0.5, "gave a float for 4 samples"),
        (lambda o, t: t / t, "gave nan for sample 5"),
    ],
)
def test_a_metric_that_fails_says_what_it_was_given(metric, message):
    with pytest.raises(TrainingError, match=message):
        mean_metric(metric, [(OUTPUTS, torch.ones(4)), (OUTPUTS, torch.tensor([1.0, 0.0, 1.0, 0.0]))])


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda o, t: o["scores"], r"loss failed with KeyError: 'scores'.*target is a tensor \[4\]"),
        (lambda o, t: o["logits"], r"gave a tensor \[4, 5\]"),
        (lambda o, t: 0.5, "gave a float"),
        (lambda o, t: o["logits"].detach().mean(), "has a gradient"),
        (lambda o, t: (o["logits"].argmax(1) != t).float().mean(), "has a gradient"),
    ],
)
def test_a_loss_that_fails_says_what_it_was_given(loss, message):
    with pytest.raises(TrainingError, match=message):
        loss_of(loss, {"logits": OUTPUTS["logits"].clone().requires_grad_()}, torch.zeros(4))
