"""OpenVINO on the CPU, one stream, tuned for latency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openvino as ov

from lacewing.bench.peers.common import architecture, onnx_dtype, random_array, static_shape


class OpenVinoRunner:
    """A compiled model and one request."""

    def __init__(self, path: Path, threads: int) -> None:
        core: Any = ov.Core()
        model = core.read_model(str(path))
        shapes = {
            i: static_shape(i.any_name, [d.get_length() if d.is_static else None for d in i.partial_shape])
            for i in model.inputs
        }
        model.reshape({i: list(shape) for i, shape in shapes.items()})
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
        compiled = core.compile_model(model, "CPU", settings)
        self.request = compiled.create_infer_request()
        for i, port in enumerate(compiled.inputs):
            array = random_array(tuple(port.shape), port.element_type.to_dtype())
            self.request.set_input_tensor(i, ov.Tensor(array, shared_memory=False))
        self.dtype = onnx_dtype(path) if path.suffix == ".onnx" else "int8"
        self.target = architecture()

    def run(self) -> None:
        """One inference."""
        self.request.start_async()
        self.request.wait()


def open_model(path: Path, threads: int) -> OpenVinoRunner:
    """An .onnx or .tflite file."""
    return OpenVinoRunner(path, threads)
