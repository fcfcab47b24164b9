"""Block reconstruction: where the network is cut, and that the pruned one comes closer to the float one."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest
import torch
from training_cases import SIZE, Stripes, raw_graph

from lacewing.converter.errors import OptionError
from lacewing.converter.progress import silent
from lacewing.converter.sparsity.budget import LayerBudget
from lacewing.converter.sparsity.obs import Block
from lacewing.converter.training import Recipe
from lacewing.converter.training.masks import BlockMasks, block_sums
from lacewing.converter.training.network import Network
from lacewing.converter.training.one_shot import prune_once
from lacewing.converter.training.reconstruct import reconstruct, stretches

CPU = torch.device("cpu")
BUDGETS = {name: LayerBudget(Block(2, 4), 0.5) for name in ("point", "wide", "hidden")}


def pruned(budgets=BUDGETS):
    """(the network pruned at once, its masks, the float network)."""
    graph, reference = raw_graph(), raw_graph()
    masks = BlockMasks(graph, budgets)
    masks.set(prune_once(graph, masks.budgets, {"image": Stripes(64, 5).images.numpy()}, 0, silent))
    return graph, masks, reference


def distance(graph, reference):
    """Squared error of the logits on images that nothing has seen, relative to their power."""
    images = {"image": Stripes(64, 6).images}
    with torch.no_grad():
        (got,), (wanted,) = (list(Network(g).eval()(images).values()) for g in (graph, reference))
    return float((got - wanted).square().mean() / wanted.square().mean())


def test_the_network_is_cut_where_one_value_goes_on_and_a_pruned_layer_lies_behind():
    graph = raw_graph()
    parts = stretches(graph, set(BUDGETS))
    assert [n.name for p in parts for n in p.nodes] == [n.name for n in graph.nodes]
    assert parts[0].inputs == graph.inputs and parts[-1].outputs == graph.outputs
    for before, after in pairwise(parts):
        assert before.outputs == after.inputs and len(after.inputs) == 1
        read = {v for n in after.nodes for v in n.inputs} - {n.output for n in after.nodes}
        assert read == set(after.inputs), "a value jumps over the cut"
        assert {n.name for n in before.nodes} & set(BUDGETS)
    residual = next(p for p in parts if "point" in {n.name for n in p.nodes})
    assert any(n.op == "add" for n in residual.nodes), "the residual path ends inside its stretch"
    assert len(parts) >= 3


def test_a_network_without_a_narrow_place_is_one_stretch():
    graph = raw_graph()
    graph.outputs.append(graph.nodes[0].output)  # it lives on behind every later node
    parts = stretches(graph, set(BUDGETS))
    assert [p.outputs for p in parts] == [graph.outputs]


def test_reconstruction_comes_closer_and_keeps_the_blocks():
    graph, masks, reference = pruned()
    before = distance(graph, reference)
    untouched = deepcopy(reference)
    reconstruct(graph, reference, masks, Stripes(256, 7), 8, 0, CPU, silent)
    after = distance(graph, reference)
    assert after < 0.8 * before, (before, after)
    for node in graph.nodes:
        if node.name in masks.keep:
            left = block_sums(np.abs(node.weights["weight"]), Block(2, 4)) > 0
            assert not (left & ~masks.keep[node.name]).any(), node.name
    for node, same in zip(reference.nodes, untouched.nodes, strict=True):
        for name in node.weights:
            np.testing.assert_array_equal(node.weights[name], same.weights[name])


def test_what_comes_no_closer_stays_as_it_is():
    graph, masks, _ = pruned({"wide": LayerBudget(Block(2, 4), 0.0, "told")})
    before = deepcopy(graph)
    reconstruct(graph, deepcopy(graph), masks, Stripes(16, 7), 1, 0, CPU, silent)
    for node, same in zip(graph.nodes, before.nodes, strict=True):
        for name in node.weights:
            np.testing.assert_array_equal(node.weights[name], same.weights[name])


def test_the_same_seed_gives_the_same_weights():
    results = []
    for _ in range(2):
        graph, masks, reference = pruned()
        reconstruct(graph, reference, masks, Stripes(32, 7), 2, 3, CPU, silent)
        results.append(graph)
    for one, other in zip(*(g.nodes for g in results), strict=True):
        for name in one.weights:
            np.testing.assert_array_equal(one.weights[name], other.weights[name])


def test_fewer_than_no_passes_are_refused():
    with pytest.raises(OptionError, match="reconstruct must be 0 or more, not -1"):
        Recipe(Stripes(SIZE, 0), reconstruct=-1)
