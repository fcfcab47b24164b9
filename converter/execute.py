"""Runs an IR graph in float32 with onnxruntime: the reference that passes, calibration and compare rely on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime

from .errors import CalibrationError, OptionError
from .ir import FloatArray, Graph
from .ir_to_onnx import is_batchable, to_onnx

__all__ = ["Executor"]


class Executor:
    """A graph ready to run. ``values`` chooses what ``run`` returns, intermediate values included.

    ``threads`` is onnxruntime's; None leaves the choice to it. Raises OptionError for an unknown value.
    """

    def __init__(self, graph: Graph, values: Sequence[str] | None = None, threads: int | None = None) -> None:
        self.values = list(dict.fromkeys(graph.outputs if values is None else values))
        unknown = [value for value in self.values if value not in graph.shapes]
        if unknown:
            raise OptionError(f"the graph has no values {', '.join(unknown)}")
        self._shapes = {name: graph.shapes[name] for name in graph.inputs}
        self._computed = [value for value in self.values if value not in graph.inputs]
        self._batched = is_batchable(graph)
        self._session = self._open(graph, threads) if self._computed else None

    def _open(self, graph: Graph, threads: int | None) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
        model = to_onnx(graph, self._computed, symbolic_batch=self._batched)
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """The chosen values for inputs whose axis 0 holds any number of samples, equal for all of them.

        A value of shape [1, ...] comes back as [N, ...]. Raises CalibrationError for inputs that do not fit.
        """
        arrays = {name: self._checked(name, inputs) for name in self._shapes}
        strangers = sorted(set(inputs) - set(arrays))
        if strangers:
            raise CalibrationError(
                f"the model has no inputs {', '.join(strangers)} (it has: {', '.join(arrays)})"
            )
        samples = self._samples(arrays)
        if self._session is None:
            return {value: arrays[value] for value in self.values}
        if self._batched or samples == 1:
            results = self._session.run(self._computed, arrays)
        else:
            parts = [
                self._session.run(self._computed, {name: array[i : i + 1] for name, array in arrays.items()})
                for i in range(samples)
            ]
            results = [np.concatenate(column, axis=0) for column in zip(*parts, strict=True)]
        found = dict(zip(self._computed, results, strict=True))
        return {value: found[value] if value in found else arrays[value] for value in self.values}

    def _checked(self, name: str, inputs: Mapping[str, FloatArray]) -> FloatArray:
        if name not in inputs:
            raise CalibrationError(f"input '{name}' is missing")
        array = np.ascontiguousarray(inputs[name])
        shape = self._shapes[name]
        if array.dtype != np.float32:
            raise CalibrationError(f"input '{name}' is {array.dtype}, not float32")
        sampled = shape[:1] == (1,)
        wanted, found = (shape[1:], array.shape[1:]) if sampled else (shape, array.shape)
        if array.ndim != len(shape) or wanted != found or not array.size:
            raise CalibrationError(
                f"input '{name}' has shape {list(array.shape)}, the model takes {list(shape)}"
            )
        return array

    def _samples(self, arrays: Mapping[str, FloatArray]) -> int:
        counts = {name: array.shape[0] for name, array in arrays.items() if self._shapes[name][:1] == (1,)}
        if len(set(counts.values())) > 1:
            raise CalibrationError(f"the inputs hold different numbers of samples: {counts}")
        if counts and len(counts) < len(arrays) and max(counts.values()) > 1:
            raise CalibrationError("an input without a batch axis takes one sample at a time")
        return max(counts.values(), default=1)
