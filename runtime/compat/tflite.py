"""TensorFlow Lite's interface on ``.lace`` files: ``from lacewing.compat.tflite import Interpreter``.

Tensors keep the model's own layout (NCHW, where TensorFlow Lite has NHWC). Indices count inputs, then outputs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from lacewing.arguments import input_array
from lacewing.errors import InputError, SessionError, UnsupportedError
from lacewing.infos import Array, TensorInfo
from lacewing.session import Session


class Interpreter:
    """``model_path`` or ``model_content`` is a ``.lace`` file; ``num_threads`` None is one thread, -1 the big cores.

    Raises as ``lacewing.Session``; ``InputError`` unless exactly one of path and content is given.
    """

    def __init__(
        self,
        model_path: str | os.PathLike[str] | None = None,
        model_content: bytes | None = None,
        num_threads: int | None = None,
    ) -> None:
        model = model_path if model_path is not None else model_content
        if model is None or (model_path is not None and model_content is not None):
            raise InputError("give either model_path or model_content")
        self._session = Session(model, threads="auto" if num_threads == -1 else num_threads)
        self._inputs: dict[int, Array] = {}
        self._results: dict[str, Array] | None = None
        self._allocated = False

    def allocate_tensors(self) -> None:
        """Makes ``set_tensor`` and ``invoke`` possible; inputs that are never set are zero, or the zero point."""
        if not self._allocated:
            for index, tensor in enumerate(self._session.inputs):
                self._inputs[index] = np.full(tensor.shape, tensor.zero_point, tensor.numpy_dtype)
            self._allocated = True

    def get_input_details(self) -> list[dict[str, Any]]:
        """A dict per input: name, index, shape, dtype, quantization and so on, as TensorFlow Lite has it."""
        return [_detail(index, tensor) for index, tensor in enumerate(self._session.inputs)]

    def get_output_details(self) -> list[dict[str, Any]]:
        """The same for outputs."""
        first = len(self._session.inputs)
        return [_detail(first + index, tensor) for index, tensor in enumerate(self._session.outputs)]

    def set_tensor(self, tensor_index: int, value: Array) -> None:
        """Copies an input. Raises ``InputError`` for a wrong index, dtype or shape."""
        self._need_tensors()
        if tensor_index not in self._inputs:
            raise InputError(f"no input tensor {tensor_index}; the inputs are {list(self._inputs)}")
        array = input_array(value, self._session.inputs[tensor_index])
        self._inputs[tensor_index][...] = array

    def invoke(self) -> None:
        """Runs the model. Raises ``InputError`` for NaN or a uint8 value above 127."""
        self._need_tensors()
        names = [tensor.name for tensor in self._session.inputs]
        self._results = self._session.run({names[i]: array for i, array in self._inputs.items()})

    def get_tensor(self, tensor_index: int) -> Array:
        """A copy of an input, or of an output of the last ``invoke``."""
        self._need_tensors()
        if tensor_index in self._inputs:
            return self._inputs[tensor_index].copy()
        position = tensor_index - len(self._session.inputs)
        if not 0 <= position < len(self._session.outputs):
            raise InputError(f"no tensor {tensor_index}; only inputs and outputs can be read")
        if self._results is None:
            raise SessionError("there are no results yet: call invoke() first")
        return self._results[self._session.outputs[position].name].copy()

    def resize_tensor_input(
        self, input_index: int, tensor_size: Sequence[int], strict: bool = False
    ) -> NoReturn:
        """Always an ``UnsupportedError``: the shapes of a ``.lace`` file are fixed."""
        raise UnsupportedError(
            f"input {input_index} cannot become {list(tensor_size)}: shapes are fixed when a model is converted; "
            "convert it again with --input-shape"
        )

    def _need_tensors(self) -> None:
        if not self._allocated:
            raise SessionError("call allocate_tensors() first")


def _detail(index: int, tensor: TensorInfo) -> dict[str, Any]:
    quantized = tensor.dtype == "uint8"
    return {
        "name": tensor.name,
        "index": index,
        "shape": np.array(tensor.shape, np.int32),
        "shape_signature": np.array(tensor.shape, np.int32),
        "dtype": tensor.numpy_dtype.type,
        "quantization": (tensor.scale, tensor.zero_point),
        "quantization_parameters": {
            "scales": np.array([tensor.scale] if quantized else [], np.float32),
            "zero_points": np.array([tensor.zero_point] if quantized else [], np.int32),
            "quantized_dimension": 0,
        },
        "sparsity_parameters": {},
    }
