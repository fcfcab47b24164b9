"""Another network as teacher than the float network that is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lacewing.converter.errors import ConversionError, OptionError
from lacewing.converter.ir import Graph
from lacewing.converter.source import Source, load_training_graph


def load_teacher(source: Source, student: Graph) -> Graph:
    """``source`` as IR that computes what ``student`` does: the same inputs by name, outputs of the same shapes in order.

    Raises OptionError where it cannot be read or does not fit.
    """
    shapes = _shapes(student, student.inputs)
    try:
        graph = load_training_graph(source, shapes)
    except ConversionError as error:
        raise OptionError(f"the recipe's teacher: {error}") from error
    if _shapes(graph, graph.inputs) != shapes:
        read, known = _listed(_shapes(graph, graph.inputs)), _listed(shapes)
        raise OptionError(
            f"the recipe's teacher reads {read}, the network {known}: give one that reads the same"
        )
    ours, theirs = (_shapes(g, g.outputs) for g in (student, graph))
    if list(theirs.values()) != list(ours.values()):
        raise OptionError(
            f"the recipe's teacher gives {_listed(theirs)}, the network {_listed(ours)}: give one with outputs of these shapes"
        )
    return graph


def _shapes(graph: Graph, values: Sequence[str]) -> dict[str, tuple[int, ...]]:
    return {v: tuple(graph.shapes[v]) for v in values}


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
