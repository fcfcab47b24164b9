"""Fine-tuning without a recipe: the calibration images teach, and some of them are kept back to judge by.

Nobody labelled the images, so the float network judges: the metric is the probability that it gives to the student's
answer. Its mean is the student's expected accuracy if the float network's probabilities are true, and the float
network's own mean less the student's is the expected loss of accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lacewing.converter.calibration import Dataset
from lacewing.converter.errors import OptionError
from lacewing.converter.ir import Graph
from lacewing.converter.training.data import Batch, in_order
from lacewing.converter.training.network import Network
from lacewing.converter.training.recipe import Metric, Outputs, Recipe
from lacewing.converter.training.recipe_functions import mean_metric
from lacewing.converter.training.unlabelled_data import Unlabelled

HELD_OUT = 5  # every fifth sample judges
_MIN_SAMPLES = 20  # below them neither part would say anything
_BATCH = 32
_MACS = 1.5e12  # of forward passes, for reconstruction and for training each: some ten minutes on two cores
_EPOCHS = (4, 200)  # at least, at most
# Learning rates of the float and the quantized stage. Without batch norms, as in most files, nothing evens out what a
# step changes, and higher ones undo what the network knows.
_RATES, _FOLDED_RATES = (5e-4, 5e-5), (5e-5, 2e-5)
_QUANTIZED_SHARE = 4  # one epoch in so many computes with the engine's integers


class Judged:
    """Samples with the float network's outputs as their targets."""

    def __init__(self, data: Unlabelled, teacher: Network) -> None:
        self._data, self._teacher = data, teacher.eval()

    def __len__(self) -> int:
        return len(self._data)

    def digest(self) -> str:
        """Of the samples; the network that answers is compared as the one that is trained."""
        return self._data.digest()

    def batch(self, indices: Sequence[int], generator: torch.Generator) -> Batch:
        """({name: [N, ...]}, {output: [N, ...]})."""
        inputs, _ = self._data.batch(indices, generator)
        with torch.no_grad():
            return inputs, self._teacher(inputs)


def unlabelled_recipe(graph: Graph, dataset: Dataset, epochs: int | None) -> Recipe:
    """A recipe of distillation alone on most of ``dataset``, judged on the rest.

    graph: as ``load_training_graph`` gives it. Raises OptionError for too few samples.
    """
    flag = "--finetune without a recipe"
    _check_count(dataset, flag)
    train, _ = split(dataset)
    count = epochs if epochs is not None else default_epochs(graph, len(train))
    judge = held_out(graph, dataset, flag) if can_judge(graph) else None
    rates = _RATES if any(n.op == "batch_norm" for n in graph.nodes) else _FOLDED_RATES
    return Recipe(
        train=Unlabelled(train, augment=dataset.preprocessing is not None),
        validation=judge.data if judge else None,
        metric=judge.metric if judge else None,
        epochs=count,
        quantized_epochs=max(1, count // _QUANTIZED_SHARE),
        batch_size=_BATCH,
        learning_rate=rates[0],
        quantized_learning_rate=rates[1],
        reconstruct=count,
    )


@dataclass(frozen=True)
class HeldOut:
    """Samples that a model was not made with, with the float network's answers as their targets."""

    data: Judged
    metric: Metric

    def float_metric(self) -> float:
        """The metric of the float network itself."""
        return mean_metric(self.metric, ((target, target) for _, target in in_order(self.data, _BATCH)))


def held_out(graph: Graph, dataset: Dataset, flag: str) -> HeldOut:
    """The held-out part of ``dataset``. Raises OptionError, naming ``flag``, where it cannot judge."""
    if not can_judge(graph):
        raise OptionError(
            f"{flag} needs outputs that are classes [1,N], or --finetune with a recipe's metric"
        )
    _check_count(dataset, flag)
    return HeldOut(Judged(Unlabelled(split(dataset)[1], augment=False), Network(graph)), expected_accuracy)


def _check_count(dataset: Dataset, flag: str) -> None:
    if len(dataset) < _MIN_SAMPLES:
        raise OptionError(f"{flag} needs at least {_MIN_SAMPLES} samples, --calib has {len(dataset)}")


def split(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """(training, held-out) samples: every fifth is held out."""
    parts: tuple[list[int], list[int]] = ([], [])
    for i in range(len(dataset)):
        parts[i % HELD_OUT == HELD_OUT - 1].append(i)
    return dataset.subset(parts[0]), dataset.subset(parts[1])


def can_judge(graph: Graph) -> bool:
    """Whether every output is a row of classes, so that a probability of the answer exists."""
    return all(len(graph.shapes[v]) == 2 and graph.shapes[v][1] > 1 for v in graph.outputs)


def expected_accuracy(outputs: Outputs, target: dict[str, Tensor]) -> Tensor:
    """[N]: the probability that the float network gives to the student's best class, mean over the outputs."""
    scores = []
    for value, student in outputs.items():
        teacher = target[value].float()
        sums = teacher.sum(dim=1)
        given = bool((teacher >= 0).all() and torch.allclose(sums, torch.ones_like(sums), atol=1e-3))
        probability = teacher if given else torch.softmax(teacher, dim=1)
        scores.append(probability.gather(1, student.argmax(dim=1, keepdim=True))[:, 0])
    return torch.stack(scores).mean(dim=0)


def default_epochs(graph: Graph, samples: int) -> int:
    """As many epochs as the network's size allows in a coffee break."""
    macs = max(1, sum(graph.macs(node) for node in graph.nodes))
    low, high = _EPOCHS
    return int(min(max(_MACS / macs / samples, low), high))
