"""How much of each layer goes, and in which blocks: the overall target divided over the layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.errors import OptionError, OutOfReach
from lacewing.converter.ir import Graph, Node
from lacewing.converter.options import MAX_SPARSITY, ConvertOptions
from lacewing.converter.sparsity import obs
from lacewing.converter.sparsity.allocation import Choice, Limits, least, least_error
from lacewing.converter.sparsity.columns import to_columns
from lacewing.converter.sparsity.prices import Price, Prices
from lacewing.converter.sparsity.survey import Scores, survey
from lacewing.format.description import QUAD
from lacewing.profiles.profile import Profile, for_this_machine, load

Array = npt.NDArray[Any]

AUTO_BLOCK = obs.Block(2, QUAD)  # of the network that `auto` is measured against
DENSE = obs.Block(4, QUAD)  # what a dense layer is stored in
MIN_INPUTS = 16  # weights per output channel below which a layer stays dense
MIN_OUTPUTS = 8  # output channels below which it does
DENSE_IS_FASTER = "dense is faster"  # begins the reason of a layer for which the profile says so
NOT_NEEDED = "the target is met without it"
TOO_FEW = "less than one block would go"
SELECTS = "selects channels"
PRUNABLE = (DENSE_IS_FASTER, NOT_NEEDED, TOO_FEW)  # how reasons begin of layers that might have been pruned
KIB = 1024
# How far `global` may take one layer from the overall sparsity: down in parts of what goes, up in parts of what stays
# (docs/trials.md). Where a teacher alone mends, layers mend each other, and their own errors say less; where labels teach,
# they still say which layers have weights to spare.
REACH, TAUGHT_REACH, TRAINED_REACH = 0.5, 0.25, 0.9
# Of a layer's outputs, that rows of blocks may add. A last row of blocks that is mostly padding is worth little, and its
# outputs, two of ten classes in blocks of 8x4, would keep one block or none.
_MOST_PADDING = 1 / 8
_LEAST_GAIN = 0.03  # of a layer's time, that blocks must bring: a profile knows times no better
_SAVED = 0.8  # of the time that even blocks of 2x4 would save, that `auto` saves at least
_SPARSITY_STEP = 1e-3  # to which the even sparsity that meets limits is found
_SHARES = 10  # steps from the overall sparsity to the least share of a layer, and as many to the most


@dataclass(frozen=True)
class LayerBudget:
    """What happens to one layer: ``share`` of its [rows x columns] blocks goes; ``reason`` says why none does.

    head: no other layer follows, so that a row of blocks gone whole would be answers that never change.
    error: that this makes, relative to the power of the layer's output, where blocks were chosen by it.
    """

    block: obs.Block
    share: float
    reason: str = ""
    head: bool = False
    error: float = 0.0


def device_profile(options: ConvertOptions) -> Profile:
    """The device that the options convert for. Raises ProfileError."""
    return for_this_machine() if options.profile is None else load(options.profile)


def plan_budget(
    graph: Graph, options: ConvertOptions, inputs: Mapping[str, Array], seed: int, reach: float = REACH
) -> dict[str, LayerBudget]:
    """A budget for every conv and gemm. inputs: name -> [N, ...] f32; reach: one of the three.

    Raises OptionError for unknown layers, OutOfReach for such targets, ProfileError for a bad profile.
    """
    heads = _heads(graph)
    planned = _planned(graph, options, inputs, seed, reach)
    return {name: replace(budget, head=name in heads) for name, budget in planned.items()}


def _heads(graph: Graph) -> set[str]:
    """The convs and gemms whose results reach an output of the network without another layer between."""
    found, values = set(), set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.output not in values:
            continue
        if node.op in ("conv", "gemm"):
            found.add(node.name)
        else:
            values |= set(node.inputs)
    return found


def _planned(
    graph: Graph, options: ConvertOptions, inputs: Mapping[str, Array], seed: int, reach: float
) -> dict[str, LayerBudget]:
    layers = {n.name: n for n in graph.nodes if n.op in ("conv", "gemm")}
    _check_names(options, layers)
    budgets = {name: LayerBudget(DENSE, 0.0, why_dense(graph, n)) for name, n in layers.items()}
    for name, choice in options.layers.items():
        reason = _never_pruned(layers[name])
        if reason:
            raise OptionError(f"--layer {name}: {reason}, such layers are not pruned")
        block = _block(choice.block, layers[name])
        budgets[name] = LayerBudget(block, choice.sparsity, "" if choice.sparsity else "as told")
    free = [layers[name] for name, b in budgets.items() if not b.reason and name not in options.layers]
    if not options.prunes:
        reason = "no sparsity asked for"
        return budgets | {n.name: LayerBudget(DENSE, 0.0, reason) for n in free}
    prices = Prices(graph, device_profile(options))
    if options.budget == "uniform":
        return budgets | {n.name: _uniform(n, options.block, options.sparsity, prices) for n in free}
    taken = _taken(budgets, {n.name for n in free}, prices)
    blocks = {n.name: _candidates(n, options.block, prices) for n in free}
    scores = survey(graph, blocks, inputs, seed)
    return budgets | _solved(free, scores, options, prices, taken, reach)


def _block(name: str, node: Node) -> obs.Block:
    """Of the option's name. Where a row has an odd number of quads they cannot all pair: 4x8 becomes 4x4."""
    if name == "auto":
        return AUTO_BLOCK
    rows, columns = (int(size) for size in name.split("x"))
    paired = to_columns(node.weights["weight"][:1]).shape[1] % columns == 0
    return obs.Block(rows, columns if paired else QUAD)


def _candidates(node: Node, name: str, prices: Prices) -> list[obs.Block]:
    """The blocks that the layer may take; all that the device has kernels for and that fit if the option says "auto"."""
    if name != "auto":
        return [_block(name, node)]
    outputs = len(node.weights["weight"])
    blocks = dict.fromkeys(_block(name, node) for name in prices.profile.blocks)
    return [b for b in blocks if b.rows == 1 or -outputs % b.rows <= _MOST_PADDING * outputs]


def _check_names(options: ConvertOptions, layers: Mapping[str, Node]) -> None:
    unknown = sorted(set(options.layers) - set(layers))
    if unknown:
        there = ", ".join(sorted(name for name, node in layers.items() if not _never_pruned(node)))
        raise OptionError(f"--layer {', '.join(unknown)}: no such layer; there are {there}")


def _never_pruned(node: Node) -> str:
    if int(node.attrs.get("groups", 1)) != 1:
        return "grouped or depthwise"
    return SELECTS if node.attrs.get("fixed") else ""


def why_dense(graph: Graph, node: Node) -> str:
    """Why blocks cannot go from the layer, whatever the options say; empty if they can."""
    weight = node.weights["weight"]
    reason = _never_pruned(node)
    if reason:
        return reason
    if node.inputs[0] in graph.inputs or (node.op == "conv" and weight.shape[1] <= QUAD):
        return "first convolution"
    if weight[0].size < MIN_INPUTS or len(weight) < MIN_OUTPUTS:
        return "too small to gain"
    return ""


def _uniform(node: Node, block_name: str, sparsity: float, prices: Prices) -> LayerBudget:
    block, dense = _block(block_name, node), prices.dense(node.name).nanoseconds
    if not round(sparsity * prices.blocks(node.name, block)):
        return LayerBudget(DENSE, 0.0, TOO_FEW)
    sparse = prices.pruned(node.name, block, sparsity).nanoseconds
    if _pays(sparse, dense):
        return LayerBudget(block, sparsity)
    return LayerBudget(DENSE, 0.0, _why_faster(dense, sparse, prices.profile))


def _pays(sparse: float, dense: float) -> bool:
    return sparse <= (1 - _LEAST_GAIN) * dense


def _why_faster(dense: float, sparse: float, profile: Profile) -> str:
    return (
        f"{DENSE_IS_FASTER}, or as fast, on {profile.name}: {dense / 1e3:.1f} us, blocks {sparse / 1e3:.1f}"
    )


def _taken(budgets: Mapping[str, LayerBudget], free: set[str], prices: Prices) -> Price:
    """What everything costs whose budget is settled."""
    total = prices.rest
    for name, budget in budgets.items():
        if name not in free:
            total = total.plus(_price(name, budget, prices))
    return total


def _price(name: str, budget: LayerBudget, prices: Prices) -> Price:
    return prices.pruned(name, budget.block, budget.share) if budget.share else prices.dense(name)


def _solved(
    nodes: Sequence[Node],
    scores: Mapping[str, Scores],
    options: ConvertOptions,
    prices: Prices,
    taken: Price,
    reach: float,
) -> dict[str, LayerBudget]:
    """The least error within the options' limits. Layers that even blocks make no faster are dense and not counted."""
    blocks = dict.fromkeys(block for own in scores.values() for block in own)
    even = {block: _even_sparsity(nodes, block, options, prices, taken) for block in blocks}
    if nodes and not any(even.values()):
        return {n.name: LayerBudget(DENSE, 0.0, NOT_NEEDED) for n in nodes}
    choices = [_choices(n, scores[n.name], even, reach, prices) for n in nodes]
    wanted = options.sparsity * sum(
        n.weights["weight"].size for n, own in zip(nodes, choices, strict=True) if own[0].block is not None
    )
    limits = _limits(nodes, options, prices, taken, wanted)
    found = least_error(choices, limits)
    if found is None and not options.limited:
        limits = _without_what_is_slower(choices, limits)
        found = least_error(choices, limits)
    if found is None:
        raise _out_of_reach(choices, limits, taken, options, prices.profile)
    return {n.name: _budget(choice, prices.profile) for n, choice in zip(nodes, found, strict=True)}


def _even_sparsity(
    nodes: Sequence[Node], block: obs.Block, options: ConvertOptions, prices: Prices, taken: Price
) -> float:
    """The sparsity asked for or, if limits ask for more, the least that meets them when spread evenly in such blocks.

    MAX_SPARSITY if none does: other blocks might. 0 if the network meets them as it is.
    """

    def meets(sparsity: float) -> bool:
        even = _even(nodes, str(block), sparsity, prices)
        limits = _limits(nodes, options, prices, taken, 0.0)
        return even.nanoseconds <= limits.nanoseconds and even.bytes <= limits.bytes

    low, high = options.sparsity, MAX_SPARSITY
    if not options.limited or meets(low):
        return low
    while high - low > _SPARSITY_STEP:
        middle = (low + high) / 2
        low, high = (low, middle) if meets(middle) else (middle, high)
    return high


def _even(nodes: Sequence[Node], block_name: str, sparsity: float, prices: Prices) -> Price:
    """What the layers cost when each loses the same share, those that it makes no faster left dense."""
    total = Price(0.0, 0)
    for node in nodes:
        budget = _uniform(node, block_name, sparsity, prices) if sparsity else LayerBudget(DENSE, 0.0)
        total = total.plus(_price(node.name, budget, prices))
    return total


def _shares(sparsity: float, reach: float) -> Array:
    """The shares of a layer's blocks that may go, the even one among them. None is far from it: the error of dropping many is
    more than the sum of what each alone would do, and layers that are cheap by that sum would bear it all."""
    steps = np.linspace(0, reach, _SHARES + 1)
    found: Array = np.concatenate([sparsity * (1 - steps[::-1]), sparsity + (1 - sparsity) * steps[1:]])
    return found.clip(max=MAX_SPARSITY)


def _choices(
    node: Node, scores: Scores, even: Mapping[obs.Block, float], reach: float, prices: Prices
) -> list[Choice]:
    """Every block and share that makes the layer faster; dense if no block does with no more than its ``even`` share gone.

    A layer that could gain is never dense: it would push its part of the loss onto the others (docs/sparsity.md). One that
    gains only where more goes than was asked for need not bear that.
    """
    weights, dense = node.weights["weight"].size, prices.dense(node.name)
    found, gains = [], False
    for block, rising in scores.items():
        total = np.concatenate([[0.0], np.cumsum(rising)])
        most = round(even[block] * len(rising))
        shares = _shares(even[block], reach)
        for drop in sorted({round(float(share) * len(rising)) for share in shares} - {0}):
            price = prices.sparse(node.name, block, len(rising) - drop)
            if _pays(price.nanoseconds, dense.nanoseconds):
                share = drop / len(rising)
                found.append(Choice(block, share, float(total[drop]), *price, share * weights))
                gains |= drop <= most
    return found if gains else [Choice(None, 0.0, 0.0, dense.nanoseconds, dense.bytes, 0.0)]


def _limits(
    nodes: Sequence[Node], options: ConvertOptions, prices: Prices, taken: Price, gone: float
) -> Limits:
    """With a sparsity and blocks to choose, most of the time must be saved that blocks of 2x4, spread evenly, would
    save: the smallest blocks keep the most accuracy, and are no faster than dense ones at half the sparsity."""
    if not options.limited and options.block == "auto":
        dense = sum(prices.dense(n.name).nanoseconds for n in nodes)
        even = _even(nodes, options.block, options.sparsity, prices).nanoseconds
        return Limits(gone, dense - _SAVED * (dense - even))
    most_time = math.inf if options.latency is None else options.latency * 1e6 - taken.nanoseconds
    most_bytes = math.inf if options.size is None else options.size * KIB - taken.bytes
    return Limits(gone, most_time, most_bytes)


def _without_what_is_slower(choices: Sequence[Sequence[Choice]], limits: Limits) -> Limits:
    """As much of the wanted sparsity as there is without making a layer slower."""
    most = least(choices, Limits(nanoseconds=limits.nanoseconds), lambda c: -c.gone)
    assert most is not None  # every layer has its even choice
    return Limits(-most, limits.nanoseconds)


def _out_of_reach(
    choices: Sequence[Sequence[Choice]],
    limits: Limits,
    taken: Price,
    options: ConvertOptions,
    profile: Profile,
) -> OutOfReach:
    """What cannot be met, and what can."""
    gone = least(choices, Limits(), lambda c: -c.gone)
    if gone is not None and -gone < limits.gone:
        total = limits.gone / options.sparsity
        return OutOfReach(
            f"--sparsity {options.sparsity}: out of reach; {-gone / total:.3f} can go before layers get slower"
        )
    found, beyond = [], []
    if options.latency is not None:
        time = least(choices, Limits(limits.gone, bytes=limits.bytes), lambda c: c.nanoseconds)
        found.append(f"--latency {options.latency}: " + _reached(time, taken.nanoseconds, 1e6, "ms"))
        beyond.append(_beyond(time, taken.nanoseconds, options.latency * 1e6))
    if options.size is not None:
        size = least(choices, Limits(limits.gone, limits.nanoseconds), lambda c: c.bytes)
        found.append(f"--size {options.size}: " + _reached(size, taken.bytes, KIB, "KB"))
        beyond.append(_beyond(size, taken.bytes, options.size * KIB))
    where = f"(on {profile.name}, with at most {MAX_SPARSITY:.0%} of a layer's blocks gone)"
    return OutOfReach(f"{'; '.join(found)} {where}", max(beyond))


def _beyond(least_sum: float | None, taken: float, limit: float) -> float:
    return math.inf if least_sum is None else (least_sum + taken) / limit


def _reached(least_sum: float | None, taken: float, scale: float, unit: str) -> str:
    if least_sum is None:
        return "out of reach together with the other limit"
    return f"out of reach, the least found is {math.ceil((least_sum + taken) / scale * 1e3) / 1e3} {unit}"


def _budget(choice: Choice, profile: Profile) -> LayerBudget:
    if choice.block is not None:
        return LayerBudget(choice.block, choice.share, error=choice.error)
    return LayerBudget(DENSE, 0.0, f"{DENSE_IS_FASTER}, or as fast, on {profile.name}")
