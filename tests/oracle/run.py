"""Runs a whole model through the operators, in file order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lacewing.format import Model, Tensor
from tests.oracle.arithmetic import Array
from tests.oracle.operators import FUNCTIONS, NanInput

__all__ = ["NanInput", "Results", "run", "run_all"]


@dataclass
class Results:
    """What a run computed: graph outputs by name, and the result of every operator in file order."""

    outputs: dict[str, Array]
    per_op: list[Array]


def run_all(model: Model, inputs: Mapping[str, Array]) -> Results:
    """Runs ``model`` on plain arrays: uint8 0..127 for u7, float32 for f32, of each input's dims.

    Raises KeyError for a missing input, ValueError for a wrong shape, dtype or value range, NanInput for a NaN.
    """
    values: dict[int, Array] = {}
    for i in model.inputs:
        values[i] = _checked(model.tensors[i], inputs[model.tensors[i].name])
    per_op = []
    for op in model.ops:
        result = model.tensors[op.output]
        sources = [model.tensors[i] for i in op.inputs]
        value = FUNCTIONS[op.kind](op, sources, result, [values[i] for i in op.inputs])
        if value.shape != result.dims or value.dtype != _numpy_dtype(result):
            raise ValueError(f"{op.kind} {op.name!r} gave {value.dtype}{value.shape}, the file says {result}")
        values[op.output] = value
        per_op.append(value)
    return Results({model.tensors[i].name: values[i] for i in model.outputs}, per_op)


def run(model: Model, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The graph outputs of ``run_all``, by name."""
    return run_all(model, inputs).outputs


def _numpy_dtype(tensor: Tensor) -> type[np.generic]:
    return np.uint8 if tensor.dtype == "u7" else np.float32


def _checked(tensor: Tensor, value: Array) -> Array:
    array = np.asarray(value)
    if array.shape != tensor.dims or array.dtype != _numpy_dtype(tensor):
        raise ValueError(f"input {tensor.name!r} is {array.dtype}{array.shape}, not {tensor}")
    if tensor.dtype == "u7" and array.size and array.max() > 127:
        raise ValueError(f"input {tensor.name!r} holds a value above 127")
    if tensor.dtype == "f32" and np.isnan(array).any():
        raise NanInput(tensor.name)
    return array
