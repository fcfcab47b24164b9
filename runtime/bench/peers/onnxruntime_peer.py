"""onnxruntime on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime as ort

from lacewing.bench.peers.common import architecture, onnx_dtype, random_array, static_shape
from lacewing.errors import LacewingError

_TYPES = {
    "tensor(float)": "float32",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int64)": "int64",
}


class OnnxRuntimeRunner:
    """A session with all optimizations; its threads stop spinning when a run ends, so that others can be timed."""

    def __init__(self, path: Path, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.log_severity_level = 3
        self.session: Any = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = {
            i.name: random_array(static_shape(i.name, i.shape), _TYPES.get(i.type, "float32"))
            for i in self.session.get_inputs()
        }
        self.dtype = onnx_dtype(path)
        self.target = architecture()

    def run(self) -> None:
        """One inference."""
        self.session.run(None, self.inputs)


def open_model(path: Path, threads: int) -> OnnxRuntimeRunner:
    """An .onnx file."""
    try:
        return OnnxRuntimeRunner(path, threads)
    except LacewingError:
        raise
    except Exception as error:  # onnxruntime's own exception types have no common base
        raise RuntimeError(str(error)) from error
