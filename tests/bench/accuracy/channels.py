"""Whole channels taken out of a float network: what a dense engine can gain from, the baseline at equal latency."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from accuracy.measure import of_module
from accuracy.networks import MobileNetV1, ResNet, ResNetWidths

MULTIPLE = 4  # channels that the engine computes together

Contributions = dict[
    str, torch.Tensor
]  # layer -> [C_in], the share of its output that each input channel makes


def narrow(network: nn.Module, share: float, images: torch.Tensor) -> ResNet | MobileNetV1:
    """A new network with about ``share`` of every layer's channels: those that matter most on ``images``.

    images: float32 [N,3,32,32]. Widths are multiples of four; a share of 1 copies the network. BatchNorm keeps the
    statistics that it had beside the lost channels: fine-tune before use. Raises ValueError, TypeError.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; give a share of the channels above 0 and up to 1")
    with torch.no_grad():
        if isinstance(network, ResNet):
            return _narrow_resnet(network, share, contributions(network, images))
        if isinstance(network, MobileNetV1):
            return _narrow_mobilenet(network, share, contributions(network, images))
    raise TypeError(f"{type(network).__name__}: only ResNet and MobileNetV1 can be narrowed")


def contributions(network: nn.Module, images: torch.Tensor) -> Contributions:
    """The variance of every input channel times the energy of the weights that read it, as a share of the layer's.

    Depthwise layers have no say: they follow their input. Means do not count: the next BatchNorm takes them out.
    """
    found: Contributions = {}

    def hook(name: str, _: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        product = inputs[0].transpose(0, 1).flatten(1).var(1) * _energy(network, name)
        found[name] = product / product.sum()

    handles = [
        layer.register_forward_pre_hook(partial(hook, name))
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
    ]
    of_module(network)(images)
    for handle in handles:
        handle.remove()
    return found


def _energy(network: nn.Module, name: str) -> torch.Tensor:
    """[C_in]: the sum of squares of the weights that read each input channel, as BatchNorm scales them."""
    weight = network.get_submodule(name).weight
    energy = weight.square().reshape(*weight.shape[:2], -1).sum(2)  # [C_out][C_in]
    if name.rpartition(".")[2].startswith("conv"):
        norm = network.get_submodule(name.replace("conv", "bn"))
        energy = energy * (norm.weight.square() / (norm.running_var + norm.eps))[:, None]
    return energy.sum(0)


def _count(width: int, share: float) -> int:
    return max(MULTIPLE, round(share * width / MULTIPLE) * MULTIPLE)


def _best(scores: torch.Tensor, count: int) -> torch.Tensor:
    """The indices of the largest, rising."""
    return scores.topk(count).indices.sort().values


def _narrow_resnet(network: ResNet, share: float, scores: Contributions) -> ResNet:
    streams, fronts = _streams(network, share, scores)
    inner = [
        [_best(scores[f"layer{s + 1}.{b}.conv2"], _count(width, share)) for b, width in enumerate(stage)]
        for s, stage in enumerate(network.widths.inner)
    ]
    widths = (tuple(map(len, streams)), tuple(tuple(map(len, stage)) for stage in inner), fronts)
    result = ResNet(ResNetWidths(*widths))
    _copy_layer(network, result, "1", streams[0], torch.arange(3))
    for s, stage in enumerate(inner):
        for b, between in enumerate(stage):
            path = f"layer{s + 1}.{b}"
            source, target = network.get_submodule(path), result.get_submodule(path)
            _copy_layer(source, target, "1", between, streams[s - 1 if s and not b else s])
            _copy_layer(source, target, "2", streams[s], between)
    _copy_linear(network.linear, result.linear, streams[2])
    return result.eval()


def _streams(
    network: ResNet, share: float, scores: Contributions
) -> tuple[list[torch.Tensor], tuple[int, int]]:
    """The channels that each stage's shortcuts keep, in their new order, and the new ``fronts``.

    A channel that a stage keeps lives on in the later ones, and those taken over stay side by side: so the shortcut
    between two stages still is a pad.
    """
    readers = [
        [f"layer{s + 1}.{b}.conv1" for b in range(s > 0, len(stage))]
        for s, stage in enumerate(network.widths.inner)
    ]
    readers[0].append("layer2.0.conv1")
    readers[1].append("layer3.0.conv1")
    readers[2].append("linear")
    total = [torch.stack([scores[name] for name in names]).sum(0) for names in readers]
    old = network.widths.fronts
    for s in (1, 0):
        total[s] += total[s + 1][old[s] : old[s] + len(total[s])]
    kept, fronts = [_best(total[0], _count(len(total[0]), share))], []
    for s in (1, 2):
        taken_over = kept[-1] + old[s - 1]
        free = total[s].clone()
        free[taken_over] = -torch.inf
        added = _best(free, max(0, _count(len(free), share) - len(taken_over)))
        front, back = added[added < old[s - 1]], added[added >= old[s - 1]]
        kept.append(torch.cat([front, taken_over, back]))
        fronts.append(len(front))
    return kept, (fronts[0], fronts[1])


def _narrow_mobilenet(network: MobileNetV1, share: float, scores: Contributions) -> MobileNetV1:
    readers = [f"blocks.{i}.conv2" for i in range(len(network.blocks))] + ["linear"]
    kept = [_best(scores[name], _count(len(scores[name]), share)) for name in readers]
    result = MobileNetV1(tuple(map(len, kept)))
    _copy_layer(network, result, "", kept[0], torch.arange(3))
    for i, (source, target) in enumerate(zip(network.blocks, result.blocks, strict=True)):
        _copy_layer(source, target, "1", kept[i], torch.arange(1))
        _copy_layer(source, target, "2", kept[i + 1], kept[i])
    _copy_linear(network.linear, result.linear, kept[-1])
    return result.eval()


def _copy_layer(
    source: nn.Module, target: nn.Module, suffix: str, rows: torch.Tensor, columns: torch.Tensor
) -> None:
    """A convolution's chosen output and input channels and its BatchNorm's."""
    weight = source.get_submodule(f"conv{suffix}").weight
    target.get_submodule(f"conv{suffix}").weight.copy_(weight[rows][:, columns])
    for name, values in source.get_submodule(f"bn{suffix}").state_dict().items():
        target.get_submodule(f"bn{suffix}").state_dict()[name].copy_(values[rows] if values.ndim else values)


def _copy_linear(source: nn.Linear, target: nn.Linear, columns: torch.Tensor) -> None:
    target.weight.copy_(source.weight[:, columns])
    target.bias.copy_(source.bias)
