"""A small network with batch norms and a task that it can learn, for the tests of training."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from copy import deepcopy
from functools import cache

import torch
from torch import nn
from torch.nn import functional

from lacewing.converter.calibration import open_dataset
from lacewing.converter.lowering.lower import lower
from lacewing.converter.options import ConvertOptions
from lacewing.converter.progress import silent
from lacewing.converter.source import load_training_graph
from lacewing.converter.sparsity.budget import LayerBudget
from lacewing.converter.sparsity.obs import Block
from lacewing.converter.training import Recipe
from lacewing.converter.training.distributed import Workers
from lacewing.converter.training.finetune import FineTuned, FineTuning
from lacewing.converter.training.masks import BlockMasks

SIZE, CLASSES = 10, 5
MENDED = {"schedule": "one-shot", "reconstruct": 2}
ALONE = Workers(0, 1, torch.device("cpu"))
IN_TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


class Stripes:
    """[N,3,SIZE,SIZE] noise with one bright row band per class; targets int64."""

    def __init__(self, count: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.targets = torch.randint(0, CLASSES, (count,), generator=generator)
        self.images = torch.randn(count, 3, SIZE, SIZE, generator=generator) * 0.5
        for image, target in zip(self.images, self.targets.tolist(), strict=True):
            image[:, 2 * target : 2 * target + 2] += 1.0

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, indices: Sequence[int], generator: torch.Generator):
        chosen = torch.tensor(list(indices))
        noise = torch.randn(len(chosen), 3, SIZE, SIZE, generator=generator) * 0.05
        return {"image": self.images[chosen] + noise}, self.targets[chosen]


class SmallNet(nn.Module):
    """Stem, depthwise, pointwise with a residual sum, two fully connected layers on the flattened map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, 1, 1, groups=16, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.point = nn.Conv2d(16, 16, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(16)
        self.wide = nn.Conv2d(16, 32, 3, 2, 1)
        self.hidden = nn.Linear(32 * 5 * 5, 12)
        self.linear = nn.Linear(12, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.stem(image)))
        x = x + self.bn3(self.point(functional.relu6(self.bn2(self.depthwise(x)))))
        return self.linear(torch.relu(self.hidden(torch.relu(self.wide(x)).flatten(1))))


def loss(outputs, target):
    """Cross entropy of the only output."""
    return functional.cross_entropy(next(iter(outputs.values())), target)


def metric(outputs, target):
    """[N] 1 where right."""
    return (next(iter(outputs.values())).argmax(1) == target).float()


@cache
def trained_net(steps: int = 60) -> SmallNet:
    """A float network that has learned the task."""
    torch.manual_seed(0)
    network, data = SmallNet(), Stripes(256, 1)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(steps):
        inputs, target = data.batch(
            range(step % 4 * 64, step % 4 * 64 + 64), torch.Generator().manual_seed(step)
        )
        functional.cross_entropy(network(inputs["image"]), target).backward()
        optimizer.step()
        optimizer.zero_grad()
    return network.eval()


@cache
def _exported():
    return load_training_graph(trained_net(), {"image": (1, 3, SIZE, SIZE)})


def raw_graph():
    """The trained network's training graph."""
    return deepcopy(_exported())


def recipe(**changes) -> Recipe:
    """A few epochs on the task, labels and teacher; blocks go one after the other, which asks more of a checkpoint."""
    told = {"loss": loss, "metric": metric, "epochs": 3, "quantized_epochs": 1, "batch_size": 64}
    told |= {"schedule": "cubic", **changes}
    return Recipe(Stripes(256, 2), Stripes(128, 3), **told)


def options(**changes) -> ConvertOptions:
    """Half of the blocks gone, calibration on the task's images."""
    data = Stripes(16, 4)
    samples = [{"image": data.images[i : i + 1].numpy()} for i in range(len(data))]
    return ConvertOptions(samples, **{"sparsity": 0.5, **changes})


def sparse_masks(block: Block, share: float = 0.5):
    """The network's training graph, and masks of which one layer is to lose ``share``."""
    graph = raw_graph()
    return graph, BlockMasks(
        graph, {"wide": LayerBudget(block, share), "point": LayerBudget(block, 0.0, "told")}
    )


def tuned(checkpoint=None, told=None, **changes) -> FineTuned:
    """The network fine-tuned by ``recipe(**changes)``, on one thread."""
    graph, told = raw_graph(), told or options()
    dataset = open_dataset(told.calibration, {v: graph.shapes[v] for v in graph.inputs})
    torch.set_num_threads(1)
    return FineTuning(graph, dataset, recipe(**changes), told, ALONE, silent, checkpoint).run()


def integers_of(result: FineTuned) -> bytes:
    """The file that the result becomes."""
    return lower(result.graph, result.plan).to_bytes()
