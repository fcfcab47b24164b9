"""Another network as teacher than the float network that is trained."""

from __future__ import annotations

from collections.abc import Sequence

from lacewing.converter.errors import ConversionError, OptionError
from lacewing.converter.ir import Graph
from lacewing.converter.source import Source, load_training_graph
from lacewing.converter.training.distillation import answer_of, by_softmax
from lacewing.converter.training.network import check_trainable
from lacewing.converter.training.recipe_functions import listed


def load_teacher(source: Source, student: Graph, outputs: str) -> Graph:
    """``source`` as IR that computes what ``student`` does: the same inputs by name, outputs of the same shapes in order.

    outputs: the recipe's, how answers are compared. Raises OptionError where the source cannot be read or does not fit.
    """
    shapes = _shapes(student, student.inputs)
    try:
        graph = load_training_graph(source, shapes)
        check_trainable(graph)
    except ConversionError as error:
        raise OptionError(
            f"the recipe's teacher must be a network that can be converted and reads {listed(shapes)}: {error}"
        ) from error
    read = _shapes(graph, graph.inputs)
    if read != shapes:
        raise OptionError(
            f"the recipe's teacher reads {listed(read)}, the network {listed(shapes)}: give one that reads the same"
        )
    _check_outputs(student, graph, outputs)
    return graph


def _check_outputs(student: Graph, teacher: Graph, outputs: str) -> None:
    ours, theirs = (_shapes(g, g.outputs) for g in (student, teacher))
    if list(theirs.values()) != list(ours.values()):
        raise OptionError(
            f"the recipe's teacher gives {listed(theirs)}, the network {listed(ours)}: give one with outputs of these shapes"
        )
    for (ours_name, shape), theirs_name in zip(ours.items(), theirs, strict=True):
        # Scores of classes are compared by their softmax, whoever takes it; values as they are.
        alike = (answer_of(student, ours_name) == ours_name) == (
            answer_of(teacher, theirs_name) == theirs_name
        )
        if not alike and not by_softmax(outputs, shape):
            raise OptionError(
                f"only one of the recipe's teacher's {theirs_name} and the network's {ours_name} is a softmax: "
                "give a teacher that ends as the network does"
            )


def _shapes(graph: Graph, values: Sequence[str]) -> dict[str, tuple[int, ...]]:
    return {v: tuple(graph.shapes[v]) for v in values}
