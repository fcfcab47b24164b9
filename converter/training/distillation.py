"""A float network as teacher: its answers, and what it computes on the way, on any input, labelled or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from lacewing.converter.ir import Graph
from lacewing.converter.training.first_samples import first
from lacewing.converter.training.network import Network
from lacewing.converter.training.recipe import Recipe

Array = npt.NDArray[Any]

_TINY = 1e-8
_PART = 4  # one in so many samples of a batch is compared inside: maps are large, their errors alike
_LEAST = 8  # samples


class Distillation:
    """Divergence of the answers plus SquareHead on inner values.

    SquareHead ("Sparse Finetuning for Inference Acceleration of Large Language Models", arXiv 2310.06927, section 3.2):
    the squared error of each value relative to the teacher's square, averaged over the values.
    """

    def __init__(
        self,
        teacher: Network,
        answers: Sequence[tuple[str, str]],
        values: list[str],
        places: Mapping[str, Array],
        recipe: Recipe,
    ):
        """answers: values that are compared, (the student's, the teacher's). values: inner ones, of one name in both, read
        where features weigh.

        places: value -> [C'], the teacher's channel for each of the student's, where that is not the same one.
        """
        self._teacher = teacher.eval().requires_grad_(False)
        self._inner = values if recipe.features else []
        self._places = {v: torch.from_numpy(channels) for v, channels in places.items()}
        self._recipe = recipe
        self.answers = list(answers)

    def wanted(self, count: int) -> dict[str, int]:
        """The student's values that the loss reads: of how many of a batch's ``count`` samples."""
        some = min(count, max(_LEAST, count // _PART))
        return dict.fromkeys(self._inner, some) | dict.fromkeys((v for v, _ in self.answers), count)

    def loss(self, inputs: Mapping[str, Tensor], student: Mapping[str, Tensor]) -> Tensor:
        """0-dimensional; student: what is ``wanted`` of the same inputs."""
        wanted = self.wanted(len(next(iter(inputs.values()))))
        some, count = min(wanted.values()), max(wanted.values())
        with torch.no_grad():
            teacher = self._taught(inputs, some, count)
        parts = [
            self._recipe.answers * self._divergence(teacher[theirs].float(), student[ours].float())
            for ours, theirs in self.answers
        ]
        if self._inner:
            errors = [
                squared_error(self._placed(v, teacher[v][:some]).float(), first(student[v], some).float())
                for v in self._inner
            ]
            parts.append(self._recipe.features * torch.stack(errors).mean())
        return torch.stack(parts).sum()

    def _taught(self, inputs: Mapping[str, Tensor], some: int, count: int) -> dict[str, Tensor]:
        """The teacher's answers, and inner values of the first samples: all of a batch's maps are gigabytes."""
        answers = [theirs for _, theirs in self.answers]
        wanted = dict.fromkeys((*self._inner, *answers), some)
        known: dict[str, Tensor] = self._teacher({v: a[:some] for v, a in inputs.items()}, wanted)
        if some < count:
            others = self._teacher({v: a[some:] for v, a in inputs.items()}, dict.fromkeys(answers, count))
            known |= {v: torch.cat((known[v], others[v])) for v in answers}
        return known

    def _placed(self, value: str, teacher: Tensor) -> Tensor:
        """``teacher`` [N,C,...] with the channels that the student has, in its order."""
        channels = self._places.get(value)
        if channels is None:
            return teacher
        placed = teacher.index_select(1, channels.to(teacher.device))
        # In the student's layout: to mix two costs a third of a step.
        return placed.contiguous(memory_format=torch.channels_last) if placed.dim() == 4 else placed

    def _divergence(self, teacher: Tensor, student: Tensor) -> Tensor:
        if not by_softmax(self._recipe.outputs, teacher.shape):
            return squared_error(teacher, student)
        t = self._recipe.temperature
        p, q = functional.log_softmax(teacher / t, dim=1), functional.log_softmax(student / t, dim=1)
        return functional.kl_div(q, p, reduction="batchmean", log_target=True) * t * t


def squared_error(teacher: Tensor, student: Tensor) -> Tensor:
    """|student - teacher|^2 / |teacher|^2, over the whole batch."""
    return (student - teacher).square().mean() / (teacher.square().mean() + _TINY)


def by_softmax(outputs: str, shape: Sequence[int]) -> bool:
    """Whether an output of this shape is compared as scores of classes; outputs: the recipe's."""
    return outputs == "classes" and len(shape) == 2 and shape[1] > 1


def answer_of(graph: Graph, output: str) -> str:
    """The value to compare for a graph output: the logits where a softmax makes it."""
    producer = graph.producer(output)
    return producer.inputs[0] if producer is not None and producer.op == "softmax" else output


def answers_of(student: Graph, teacher: Graph) -> list[tuple[str, str]]:
    """The values that are compared as answers, once each: (the student's, the teacher's)."""
    pairs = zip(student.outputs, teacher.outputs, strict=True)
    return list(dict.fromkeys((answer_of(student, v), answer_of(teacher, w)) for v, w in pairs))


def inner_values(graph: Graph) -> list[str]:
    """What SquareHead compares: everything that a conv or gemm reads, but for the network's inputs."""
    found = [n.inputs[0] for n in graph.nodes if n.op in ("conv", "gemm")]
    return [v for v in dict.fromkeys(found) if v not in graph.inputs]
