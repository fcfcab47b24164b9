"""Where networks come from: an ONNX file or a torch module, as canonical IR or as IR to be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

from torch import nn

from lacewing.converter.calibration.shapes import sample_shapes
from lacewing.converter.ir import Graph
from lacewing.converter.lowering.lower import check_supported
from lacewing.converter.onnx_import import import_onnx
from lacewing.converter.options import ConvertOptions
from lacewing.converter.passes import TRAINING_PASSES, run_passes
from lacewing.converter.torch_import import argument_names, example_inputs, import_module

Source = str | Path | nn.Module  # an ONNX file, or a network of torch


def load_graph(source: Source, input_shapes: Mapping[str, Sequence[int]]) -> Graph:
    """The source network as canonical IR that the engine can run. Raises ConversionError subclasses.

    ``input_shapes`` names what an ONNX file leaves open, and every input of a module's ``forward``.
    """
    return _canonical(_imported(source, input_shapes))


def load_training_graph(source: Source, input_shapes: Mapping[str, Sequence[int]] | None = None) -> Graph:
    """The source network as IR to be trained: batch norms and clamps are nodes of their own, gates are one.

    ``run_passes`` makes of it what ``load_graph`` returns. Raises what ``load_graph`` raises, before any training.
    """
    graph = _imported(source, input_shapes or {})
    _canonical(deepcopy(graph))
    for step in TRAINING_PASSES:
        step(graph)
    return graph


def known_shapes(source: Source, options: ConvertOptions) -> dict[str, tuple[int, ...]]:
    """The input shapes that ``options`` give; for a module without any, those of the calibration arrays."""
    if options.input_shapes or not isinstance(source, nn.Module):
        return options.input_shapes
    return sample_shapes(options.calibration, argument_names(source))


def _imported(source: Source, input_shapes: Mapping[str, Sequence[int]]) -> Graph:
    if isinstance(source, nn.Module):
        return import_module(source, example_inputs(source, input_shapes))
    return import_onnx(source, input_shapes)


def _canonical(graph: Graph) -> Graph:
    run_passes(graph)
    check_supported(graph)
    return graph


def source_size(source: Source) -> tuple[str, int]:
    """(name, bytes of the file or of the parameters) of a source, for reports."""
    if isinstance(source, nn.Module):
        held = (*source.parameters(), *source.buffers())
        return type(source).__name__, sum(t.numel() * t.element_size() for t in held)
    return str(source), Path(source).stat().st_size
