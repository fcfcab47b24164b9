"""Masks, schedules and saliency: which blocks are gone at which step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training_cases import Stripes, loss, raw_graph, sparse_masks

from lacewing.converter.sparsity.budget import LayerBudget
from lacewing.converter.sparsity.obs import Block
from lacewing.converter.training.masks import BlockMasks, block_sums
from lacewing.converter.training.network import Network
from lacewing.converter.training.saliency import SALIENCIES, Saliency
from lacewing.converter.training.schedule import CubicSchedule, learning_rate


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
