"""Torch import: exports an ``nn.Module`` to ONNX in memory and imports that, names and batch norms kept."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO

import torch
from onnx import ModelProto
from torch import Tensor, nn

from .errors import ModelFileError, OptionError, Problem, UnsupportedModelError
from .ir import Graph
from .onnx_import import import_model
from .passes.batch_norm import batch_norm_to_affine
from .torch_names import name_after_modules

__all__ = ["Example", "argument_names", "example_inputs", "import_module"]

Example = Tensor | Mapping[str, Tensor] | tuple[Tensor, ...]

OPSET = 20  # what the exporter writes without converting versions
_CHATTY = (
    "torch.onnx",
    "torch.export",
    "torch._dynamo",
    "torch.fx.experimental.symbolic_shapes",
    "onnxscript",
)
_CONTROL_FLOW = (
    "control flow that depends on values, or on Python state, does not export: choose the branch before, "
    "use torch.where, or export to ONNX yourself and give the file"
)


def import_module(module: nn.Module, example: Example, *, keep_batch_norm: bool = True) -> Graph:
    """The network that ``module`` computes in evaluation mode as IR, before any pass; the batch is 1.

    ``example``: the inputs of ``forward``: one tensor, positional ones in a tuple, or by argument name. Their
    shapes count, not their values; a batch that all of them share is cut to its first sample. Inputs are named
    after the arguments of ``forward``, nodes after the modules they come from (``layer1.0.conv1``); a module
    that is called again gives further nodes (``layer1.0.conv1_1``), with the same weights. The module is not
    changed, its training flags included. Batch norms are ``batch_norm`` nodes; with ``keep_batch_norm=False``
    they are the ``affine`` nodes they amount to.

    Raises ModelFileError if the module fails on the example, UnsupportedModelError for what torch cannot
    export or the IR does not have, with every node that cannot be expressed.
    """
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        module = module.module
    args, kwargs = _arguments(module, example)
    with _evaluating(module), torch.no_grad():
        _try(module, args, kwargs)
        model = _export(module, args, kwargs)
    model.graph.name = type(module).__name__
    name_after_modules(model, module)
    graph = import_model(model, type(module).__name__)
    if not keep_batch_norm:
        batch_norm_to_affine(graph)
    return graph


def argument_names(module: nn.Module) -> list[str]:
    """The arguments that ``forward`` needs, in order; those with defaults are left to them."""
    return [name for name, parameter in _parameters(module).items() if parameter.default is parameter.empty]


def example_inputs(module: nn.Module, input_shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Zeros by argument name of ``forward``. Raises OptionError where a shape is missing or fits no argument."""
    needed = argument_names(module)
    missing = [name for name in needed if name not in input_shapes]
    unknown = sorted(set(input_shapes) - set(_parameters(module)))
    if not input_shapes or missing or unknown:
        wanted = ", ".join(f"'{name}': (1, 3, 224, 224)" for name in needed)
        wrong = f"; it has no input {', '.join(unknown)}" if unknown else ""
        raise OptionError(
            f"{type(module).__name__} needs the shapes of its inputs: input_shapes={{{wanted}}}{wrong}"
        )
    return {name: torch.zeros(tuple(int(dim) for dim in shape)) for name, shape in input_shapes.items()}


def _parameters(module: nn.Module) -> dict[str, inspect.Parameter]:
    found = inspect.signature(module.forward).parameters
    return {n: p for n, p in found.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def _arguments(module: nn.Module, example: Example) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Positional and named arguments of forward: float inputs of batch 1 where the module's weights are."""
    tensors: dict[int | str, Tensor] = {}
    if isinstance(example, Mapping):
        tensors.update(example)
    else:
        tensors.update(enumerate([example] if isinstance(example, Tensor) else example))
    strangers = [type(value).__name__ for value in tensors.values() if not isinstance(value, Tensor)]
    if not tensors or strangers:
        raise OptionError(f"an example is made of tensors, not of {', '.join(strangers) or 'nothing'}")
    weights = next(module.parameters(), None)
    if weights is not None:
        tensors = {key: value.to(weights.device) for key, value in tensors.items()}
    batches = {value.shape[0] if value.ndim else 0 for value in tensors.values()}
    if len(batches) == 1 and batches != {0}:
        tensors = {key: value[:1] for key, value in tensors.items()}
    args = tuple(value for key, value in tensors.items() if isinstance(key, int))
    return args, {key: value for key, value in tensors.items() if isinstance(key, str)}


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards each submodule is in the mode it was in."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training


def _try(module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
    """One run before the export: an example that does not fit is another mistake than a module that does not export."""
    try:
        module(*args, **kwargs)
    except Exception as error:  # whatever the user's forward raises
        shapes = [list(value.shape) for value in (*args, *kwargs.values())]
        raise ModelFileError(
            f"{type(module).__name__} fails on an example of shape {', '.join(map(str, shapes))}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _export(module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> ModelProto:
    """The module as ONNX. The exporter's own optimizer would fold batch norms: constants are all that is folded."""
    try:
        from onnxscript import optimizer
    except ImportError as error:
        raise ModelFileError(
            "torch needs onnxscript to export a module; install lacewing[convert]"
        ) from error
    with _quiet():
        try:
            program = torch.onnx.export(
                module, args, kwargs=kwargs, dynamo=True, optimize=False, opset_version=OPSET, verbose=False
            )
            assert program is not None  # only a dynamo export to a file returns nothing
            optimizer.fold_constants(program.model)
            optimizer.remove_unused_nodes(program.model)
            return program.model_proto
        except Exception as error:  # torch.export runs the user's code and raises what that or torch raises
            cause = _root(error)
            reason = f"torch cannot export it: {type(cause).__name__}: {str(cause).strip().splitlines()[0]}"
            problem = Problem(type(module).__name__, "nn.Module", "", reason, _CONTROL_FLOW)
            raise UnsupportedModelError([problem]) from error


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints traces, and warns of deprecations of its own, that a user can do nothing about."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
