"""Hand-made ONNX models for the import tests, and the comparison with onnxruntime on the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from lacewing.converter.execute import Executor
from lacewing.converter.ir import Graph
from lacewing.converter.onnx_import import import_onnx
from lacewing.converter.passes import run_passes

Shape = Sequence[int | str | None]
IMAGE = (1, 4, 6, 5)
TOLERANCE = 1e-4  # relative to the largest output


class ModelBuilder:
    """Collects nodes; ``x`` is the input unless ``inputs`` says otherwise. Random weights, seeded."""

    def __init__(self, inputs: Mapping[str, Shape] | None = None, opset: int = 17) -> None:
        self.inputs = {"x": IMAGE} if inputs is None else dict(inputs)
        self.opset = opset
        self.rng = np.random.default_rng(7)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        """An initializer; returns its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def weight(self, *shape: int) -> str:
        """An initializer of random normal values."""
        return self.constant(self.rng.normal(size=shape))

    def add(self, op_type: str, *inputs: str, outputs: int = 1, **attrs: Any) -> Any:
        """A node named ``n<index>``; returns its output, a list of them if there are several."""
        index = len(self.nodes)
        names = [f"v{index}"] if outputs == 1 else [f"v{index}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op_type, list(inputs), names, name=f"n{index}", **attrs))
        return names[0] if outputs == 1 else names

    def model(self, *outputs: str) -> onnx.ModelProto:
        """The model with float outputs of inferred shape; the last node's result by default."""
        chosen = outputs or (self.nodes[-1].output[0],)
        graph = helper.make_graph(
            self.nodes,
            "hand_made",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in self.inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in chosen],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    def save(self, folder: Path, *outputs: str) -> Path:
        """The model in a file."""
        path = folder / "model.onnx"
        onnx.save(self.model(*outputs), path)
        return path


def random_inputs(graph: Graph, samples: int = 1, seed: int = 3) -> dict[str, np.ndarray]:
    """Normal values for every graph input, ``samples`` along the batch axis."""
    rng = np.random.default_rng(seed)
    shapes = {name: graph.shapes[name] for name in graph.inputs}
    return {n: rng.normal(size=(samples * s[0], *s[1:])).astype(np.float32) for n, s in shapes.items()}


def source_outputs(path: Path, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """What onnxruntime computes on the source model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(inputs))


def assert_same(found: Mapping[str, np.ndarray], expected: Sequence[np.ndarray], stage: str) -> None:
    """Equal shapes, values within TOLERANCE of the largest one."""
    assert len(found) == len(expected), stage
    for (name, array), reference in zip(found.items(), expected, strict=True):
        assert array.shape == reference.shape, f"{stage}: {name}"
        scale = max(float(np.abs(reference).max()), 1e-6)
        error = float(np.abs(array - reference).max()) / scale
        assert error <= TOLERANCE, f"{stage}: {name} is off by {error:.2e} of its largest value"


def assert_import_matches(
    path: Path, input_shapes: Mapping[str, Sequence[int]] | None = None, seed: int = 3
) -> Graph:
    """Imports ``path``, compares before and after the passes with the source; returns the canonical graph."""
    graph = import_onnx(path, input_shapes)
    names = (list(graph.inputs), list(graph.outputs))
    inputs = random_inputs(graph, seed=seed)
    expected = source_outputs(path, inputs)
    assert_same(Executor(graph, threads=1).run(inputs), expected, "imported")
    run_passes(graph)
    assert (graph.inputs, graph.outputs) == names
    assert_same(Executor(graph, threads=1).run(inputs), expected, "after the passes")
    return graph


def ops(graph: Graph) -> list[str]:
    """The operators in order; a unary's function instead of "unary"."""
    return [str(node.attrs["function"]) if node.op == "unary" else node.op for node in graph.nodes]
