"""Trains MobileNet-v1 0.5, for which no float weights can be had: ``python -m accuracy.base``.

The state is written after every epoch; a run that was broken off goes on from there.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from accuracy.cifar import BUILD, CifarTrain, test_set, train_set
from accuracy.measure import INPUT, of_module, top1
from accuracy.networks import MobileNetV1
from lacewing.converter.output import write_atomically

STATE = BUILD / "base" / "mobilenet_v1_0.5.pt"
EPOCHS = 30
BATCH = 128
PEAK_RATE = 0.1  # reached after WARM_UP, then down to 0 along a cosine
WARM_UP = 0.15  # of all steps
WEIGHT_DECAY = 5e-4
SEED = 0


def mobilenet(epochs: int = EPOCHS, path: Path = STATE) -> MobileNetV1:
    """The trained network, in eval mode; trains the epochs that ``path`` lacks."""
    torch.manual_seed(SEED)
    network = MobileNetV1().to(memory_format=torch.channels_last)
    for block in network.blocks:
        if block.conv1.stride == (2, 2):
            _keep_float32(block.conv1)
    optimizer = _optimizer(network)
    state: dict[str, Any] = {"epochs": epochs, "done": []}  # per epoch: loss, top-1, seconds
    if path.exists():
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["epochs"] != epochs:
            raise ValueError(f"{path} is of a run of {state['epochs']} epochs, not {epochs}; move it away")
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    if len(state["done"]) < epochs:
        path.parent.mkdir(parents=True, exist_ok=True)
        train, test = train_set(), test_set()
        for epoch in range(len(state["done"]), epochs):
            started = time.monotonic()
            loss = _train_epoch(network, optimizer, train, epoch, epochs)
            seconds = time.monotonic() - started
            state["done"].append((loss, top1(of_module(network), test), seconds))
            _save(path, {**state, "network": network.state_dict(), "optimizer": optimizer.state_dict()})
            print(
                "epoch {}: loss {:.3f}, top-1 {:.2f} %, {:.0f} s".format(epoch, *state["done"][-1]),
                flush=True,
            )
    result = MobileNetV1()
    result.load_state_dict(network.state_dict())
    return result.eval()


def _keep_float32(layer: nn.Module) -> None:
    """Exempts a layer from autocast: torch's bfloat16 gradient of a strided depthwise layer takes ten times as long."""
    forward = layer.forward

    def run(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            result: torch.Tensor = forward(x.float())
        return result

    layer.forward = run


def _optimizer(network: nn.Module) -> torch.optim.Optimizer:
    """Depthwise weights, BatchNorm and biases are few: to decay them costs accuracy (arXiv 1704.04861, section 3.2)."""
    decayed = [p for p in network.parameters() if p.ndim > 1 and p.shape[1] > 1]
    others = [p for p in network.parameters() if not (p.ndim > 1 and p.shape[1] > 1)]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=PEAK_RATE, momentum=0.9, nesterov=True)


def _rate(step: int, steps: int) -> float:
    """The learning rate of one step."""
    warm_up = WARM_UP * steps
    if step < warm_up:
        return PEAK_RATE * (step + 1) / (warm_up + 1)
    return PEAK_RATE * (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up))) / 2


def _batches(count: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Full batches of a shuffled epoch."""
    order = torch.randperm(count, generator=generator)
    for start in range(0, count - BATCH + 1, BATCH):
        yield order[start : start + BATCH].tolist()


def _train_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, train: CifarTrain, epoch: int, epochs: int
) -> float:
    """One pass over the images; returns the mean loss."""
    network.train()
    generator = torch.Generator().manual_seed(SEED + epoch)
    per_epoch = len(train) // BATCH
    losses = []
    for i, indices in enumerate(_batches(len(train), generator)):
        for group in optimizer.param_groups:
            group["lr"] = _rate(epoch * per_epoch + i, epochs * per_epoch)
        inputs, labels = train.batch(indices, generator)
        images = inputs[INPUT].contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images)
        loss = nn.functional.cross_entropy(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


def _save(path: Path, state: dict[str, Any]) -> None:
    content = io.BytesIO()
    torch.save(state, content)
    write_atomically(path, content.getvalue())


if __name__ == "__main__":
    mobilenet()
