"""What NNCF decides about a network: which values it quantizes and over what range, and how it quantizes weights.

NNCF (https://github.com/openvinotoolkit/nncf) traces a torch module and hangs quantizers on calls of torch functions. Here
each of them is carried over to the value or the layer of the IR whose tensor it was given, so that nothing depends on
names of hooks, and no ONNX file is written and read again.
"""

from __future__ import annotations

import importlib.util
import inspect
import io
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from lacewing.converter.errors import OptionError, Problem, UnsupportedModelError
from lacewing.converter.ir import Graph, Node
from lacewing.converter.quantization.parameters import Quantization
from lacewing.converter.training.operators import OPERATORS, clamp
from lacewing.format.description import ACTIVATION_MAX, WEIGHT_MAX

Array = npt.NDArray[Any]
Range = tuple[float, float]

LAYERS = ("conv", "gemm")
_BITS = ACTIVATION_MAX.bit_length()
_TELEMETRY = "openvino_telemetry"


@dataclass
class Decided:
    """NNCF's choices, by names of the IR. ``ranges`` are real intervals, ``weights`` NNCF's own modules."""

    ranges: dict[str, Range] = field(default_factory=dict)
    weights: dict[str, nn.Module] = field(default_factory=dict)  # by node name: int8, symmetric, per channel


def require_nncf() -> None:
    """Raises OptionError where NNCF is not installed."""
    if importlib.util.find_spec("nncf") is None:
        raise OptionError('recipe: engine "nncf" needs NNCF: pip install "lacewing[train]"')


def decide(graph: Graph, inputs: Mapping[str, Array]) -> Decided:
    """Lets NNCF place its quantizers on the canonical ``graph`` and calibrate them on ``inputs`` {name: [N, ...] f32}.

    Raises UnsupportedModelError where NNCF leaves the weights of a layer in float, which it does without a word.
    """
    nncf = load_nncf()
    count = len(next(iter(inputs.values())))
    samples = [tuple(torch.from_numpy(inputs[v][i : i + 1]) for v in graph.inputs) for i in range(count)]
    with _quiet():
        quantized = nncf.quantize(
            _traceable(graph).eval(),
            nncf.Dataset(samples),
            preset=nncf.QuantizationPreset.MIXED,  # symmetric weights, asymmetric activations
            subset_size=count,
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.DISABLE,  # the engine's sums do not saturate
                disable_bias_correction=True,  # training follows
                activations_quantization_params=nncf.QuantizationParameters(per_channel=False),
                weights_quantization_params=nncf.QuantizationParameters(per_channel=True),
            ),
        )
    decided = _carried_over(graph, quantized, samples[0])
    _check_layers(graph, decided)
    return decided


def value_quantizer(wanted: Range) -> nn.Module:
    """NNCF's quantizer of u7 levels over ``wanted``, per tensor: unsigned and symmetric where nothing is below zero."""
    layers = load_nncf().layers
    low, high = Quantization.from_range(*wanted).range
    kind = layers.AsymmetricQuantizer if low < 0 else layers.SymmetricQuantizer
    mode = layers.QuantizationMode.ASYMMETRIC if low < 0 else layers.QuantizationMode.SYMMETRIC
    spec = layers.PTQuantizerSpec(
        num_bits=_BITS,
        mode=mode,
        signedness_to_force=False,
        narrow_range=False,
        half_range=False,
        scale_shape=(1,),
        logarithm_scale=False,
    )
    quantizer: nn.Module = kind(spec)
    for name, value in {"scale": high, "input_low": low, "input_range": high - low}.items():
        if hasattr(quantizer, name):
            getattr(quantizer, name).data.fill_(value)
    return quantizer


def value_range(quantizer: Any) -> tuple[Tensor, Tensor]:
    """The reals of the lowest and the highest level, 0-dimensional f32, with gradients."""
    low, high = quantizer.get_input_low_input_high()
    return low.reshape(()), high.reshape(())


def read_value(quantizer: nn.Module) -> Quantization:
    """The quantization that NNCF's module computes with."""
    with torch.no_grad():
        low, high = value_range(quantizer)
    return Quantization.from_range(float(low), float(high))


def weight_step(quantizer: Any) -> Tensor:
    """[O] f32: what a level of each output channel's weights is worth."""
    _, high = quantizer.get_input_low_input_high()
    step: Tensor = high.detach().reshape(-1) / WEIGHT_MAX
    return step


def load_nncf() -> Any:
    """NNCF's names that are used here, imported at the first use. Raises OptionError.

    NNCF reports its use to Google Analytics unless told otherwise, and creates ``~/intel`` for that: it is imported as
    if its telemetry package were not there. It computes with plain torch operators instead of an extension that it
    would compile at the first step, so that no compiler is needed, on no device.
    """
    require_nncf()
    reported, logger_class = sys.modules.get(_TELEMETRY), logging.getLoggerClass()
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        with _quiet():
            import nncf
            import nncf.torch
            from nncf.quantization import advanced_parameters
            from nncf.torch.quantization import layers, quantize_functions, reference
    finally:
        logging.setLoggerClass(logger_class)
        del sys.modules[_TELEMETRY]
        if reported is not None:
            sys.modules[_TELEMETRY] = reported
    plain = SimpleNamespace(
        Quantize_forward=reference.torch_executor.forward, Quantize_backward=reference.torch_executor.backward
    )
    for extension in (quantize_functions.QuantizedFunctionsCPU, quantize_functions.QuantizedFunctionsCUDA):
        extension._loaded_namespace = plain
    return SimpleNamespace(
        quantize=nncf.quantize,
        Dataset=nncf.Dataset,
        QuantizationPreset=nncf.QuantizationPreset,
        OverflowFix=nncf.OverflowFix,
        AdvancedQuantizationParameters=nncf.AdvancedQuantizationParameters,
        QuantizationParameters=advanced_parameters.QuantizationParameters,
        layers=layers,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without NNCF's progress bars, log and warnings; what goes wrong is still raised."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


class _Step(nn.Module):
    """One node with its weights, as torch parameters that NNCF finds."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node
        for name, array in node.weights.items():
            self.register_parameter(name, nn.Parameter(torch.from_numpy(array.copy()).float()))

    def forward(self, *inputs: Tensor) -> Tensor:
        result = OPERATORS[self.node.op](self.node, dict(self.named_parameters()), list(inputs))
        return clamp(result, *self.node.attrs["clip"]) if "clip" in self.node.attrs else result


def _traceable(graph: Graph) -> nn.Module:
    """The graph as a module of positional inputs; child ``step<i>`` is node i."""

    class Traceable(nn.Module):
        def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
            known = dict(zip(graph.inputs, inputs, strict=True))
            for i, node in enumerate(graph.nodes):
                known[node.output] = getattr(self, f"step{i}")(*(known[v] for v in node.inputs))
            return tuple(known[v] for v in graph.outputs)

    # NNCF sees only inputs that the signature names.
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    names = ("self", *(f"input{i}" for i in range(len(graph.inputs))))
    signature = inspect.Signature([inspect.Parameter(n, kind) for n in names])
    Traceable.forward.__signature__ = signature  # type: ignore[attr-defined]
    module = Traceable()
    for i, node in enumerate(graph.nodes):
        module.add_module(f"step{i}", _Step(node))
    return module


def _carried_over(graph: Graph, quantized: nn.Module, sample: tuple[Tensor, ...]) -> Decided:
    base = load_nncf().layers.BaseQuantizer
    quantizers: list[Any] = [m for m in quantized.modules() if isinstance(m, base)]
    steps: list[nn.Module] = [getattr(quantized, f"step{i}") for i in range(len(graph.nodes))]
    given: list[tuple[Any, Tensor]] = []  # (quantizer, what it was called with)
    results: list[tuple[nn.Module, Tensor]] = []
    handles = [q.register_forward_hook(lambda q, args, _: given.append((q, args[0]))) for q in quantizers]
    handles += [s.register_forward_hook(lambda s, _, result: results.append((s, result))) for s in steps]
    for quantizer in quantizers:
        quantizer.disable_quantization()  # it then returns the very tensor that it is given
    with torch.no_grad():
        quantized(*sample)
    for handle in handles:
        handle.remove()
    for quantizer in quantizers:
        quantizer.enable_quantization()
    values = dict(zip(graph.inputs, sample, strict=True))
    values |= {graph.nodes[steps.index(s)].output: result for s, result in results}
    decided = Decided()
    for quantizer, tensor in given:
        for value in (v for v, known in values.items() if known is tensor):
            decided.ranges[value] = _joined(decided.ranges.get(value), quantizer)
        for node, step in zip(graph.nodes, steps, strict=True):
            if node.op in LAYERS and getattr(step, "weight", None) is tensor:
                decided.weights[node.name] = quantizer
    return decided


def _joined(known: Range | None, quantizer: Any) -> Range:
    with torch.no_grad():
        low, high = (float(end) for end in value_range(quantizer))
    return (low, high) if known is None else (min(low, known[0]), max(high, known[1]))


def _check_layers(graph: Graph, decided: Decided) -> None:
    found = []
    for node in graph.nodes:
        if node.op in LAYERS:
            quantizer: Any = decided.weights.get(node.name)
            levels = None if quantizer is None else (quantizer.level_low, quantizer.level_high)
            if levels != (-WEIGHT_MAX, WEIGHT_MAX) or weight_step(quantizer).numel() != len(
                node.weights["weight"]
            ):
                what = "in float" if quantizer is None else f"at levels {levels}, {quantizer}"
                hint = 'train with engine="lacewing"'
                found.append(Problem(node.name, node.op, "weight", f"NNCF leaves it {what}", hint))
    if found:
        raise UnsupportedModelError(found)
