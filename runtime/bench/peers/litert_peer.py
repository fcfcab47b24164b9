"""LiteRT (TensorFlow Lite), with XNNPACK as it comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from lacewing.bench.peers.common import architecture, random_array


class LiteRtRunner:
    """An interpreter with its inputs set."""

    def __init__(self, path: Path, threads: int) -> None:
        self.interpreter: Any = Interpreter(model_path=str(path), num_threads=threads)
        self.interpreter.allocate_tensors()
        for detail in self.interpreter.get_input_details():
            self.interpreter.set_tensor(detail["index"], random_array(detail["shape"], detail["dtype"]))
        types = {detail["dtype"] for detail in self.interpreter.get_tensor_details()}
        self.dtype = "int8" if types & {np.int8, np.uint8} else "fp32"
        self.target = architecture()

    def run(self) -> None:
        """One inference."""
        self.interpreter.invoke()


def open_model(path: Path, threads: int) -> LiteRtRunner:
    """A .tflite file."""
    return LiteRtRunner(path, threads)
