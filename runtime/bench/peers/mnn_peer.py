"""MNN on the CPU. An ONNX file is first converted with MNN's own converter."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import MNN
import numpy as np

from lacewing.bench.peers import python
from lacewing.bench.peers.common import architecture, onnx_dtype, random_array, static_shape
from lacewing.errors import LacewingError

# The converter's own binding: its command-line wrapper reports each use over the network.
_CONVERT = (
    "-c",
    "import sys, MNN, _tools; _tools.mnnconvert(sys.argv)",
    "-f",
    "ONNX",
    "--bizCode",
    "lacewing",
)


class MnnRunner:
    """An interpreter with one session; the input is copied in once."""

    def __init__(self, model: Path, dtype: str, threads: int) -> None:
        self.interpreter: Any = MNN.Interpreter(str(model))
        self.session: Any = self.interpreter.createSession({"backend": "CPU", "numThread": threads})
        for name, tensor in self.interpreter.getSessionInputAll(self.session).items():
            shape = static_shape(name, tensor.getShape())
            self.interpreter.resizeTensor(tensor, shape)
        self.interpreter.resizeSession(self.session)
        for tensor in self.interpreter.getSessionInputAll(self.session).values():
            array = random_array(tensor.getShape(), np.float32)
            layout = MNN.Tensor_DimensionType_Caffe
            tensor.copyFrom(MNN.Tensor(tensor.getShape(), MNN.Halide_Type_Float, array, layout))
        self.dtype = dtype
        self.target = architecture()

    def run(self) -> None:
        """One inference; reading the output waits for it."""
        self.interpreter.runSession(self.session)
        self.interpreter.getSessionOutput(self.session).getHost()


def prepare(path: Path, folder: Path) -> Path:
    """The .onnx file as .mnn; its name keeps the number type, which the file does not tell."""
    model = folder / f"{path.stem}.{onnx_dtype(path)}.mnn"
    files = ("--modelFile", str(path), "--MNNModel", str(model))
    done = subprocess.run([python(), *_CONVERT, *files], capture_output=True, text=True, check=False)
    if done.returncode or not model.is_file():
        raise RuntimeError(f"mnnconvert failed: {(done.stderr or done.stdout).strip()[-300:]}")
    return model


def open_model(path: Path, threads: int) -> MnnRunner:
    """An .mnn file."""
    dtype = path.suffixes[-2].lstrip(".") if len(path.suffixes) > 1 else "unknown"
    try:
        return MnnRunner(path, dtype if dtype in ("int8", "fp32") else "unknown", threads)
    except LacewingError:
        raise
    except Exception as error:  # MNN raises nothing more specific
        raise RuntimeError(str(error)) from error
