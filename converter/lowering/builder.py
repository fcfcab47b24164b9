"""The model under construction: each value in the forms that its readers ask for, made on demand."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from lacewing.converter.ir import Graph
from lacewing.converter.lowering.tables import rescale_table
from lacewing.converter.quantization.parameters import Quantization
from lacewing.converter.quantization.plan import QuantizationPlan
from lacewing.format.model import Model, Op, Tensor

Array = npt.NDArray[Any]
Dims = tuple[int, ...]


def quads_dims(dims: Dims) -> Dims | None:
    """Dims of the quads form of a value of these dims; None if it has none. [1,C] is one pixel of C channels."""
    if len(dims) == 4 and dims[0] == 1:
        return dims
    return (1, dims[1], 1, 1) if len(dims) == 2 and dims[0] == 1 else None


def printable(name: str) -> str:
    """``name`` without the control characters that a file's names may not hold."""
    return "".join(c if c.isprintable() else "_" for c in name)


class Builder:
    """Tensors and operators so far.

    ``u7_quads``, ``u7_plain`` and ``f32_plain`` give the tensor index of a value in that form; the operators
    that convert between forms (quantize, dequantize, layout, reshape, rescaling table) appear when first needed.
    """

    def __init__(self, graph: Graph, plan: QuantizationPlan) -> None:
        self.graph = graph
        self.plan = plan
        self.model = Model()
        self._forms: dict[tuple[str, str], int] = {}  # (value, form) -> tensor
        self._rescaled: dict[tuple[int, Quantization], int] = {}

    def tensor(self, name: str, dtype: str, layout: str, dims: Dims, q: Quantization | None = None) -> int:
        """Adds a tensor, returns its index."""
        scale, zero_point = (q.scale, q.zero_point) if q else (0.0, 0)
        self.model.tensors.append(Tensor(printable(name), dtype, layout, dims, scale, zero_point))
        return len(self.model.tensors) - 1

    def op(
        self,
        kind: str,
        name: str,
        inputs: list[int],
        output: int,
        attributes: dict[str, float | int] | None = None,
        data: dict[str, Array] | None = None,
    ) -> None:
        """Adds an operator that writes tensor ``output``."""
        self.model.ops.append(Op(kind, printable(name), inputs, output, attributes or {}, data or {}))

    def dims(self, value: str) -> Dims:
        """The value's shape in the graph."""
        return tuple(self.graph.shapes[value])

    def quantization(self, value: str) -> Quantization:
        """The value's u7 quantization."""
        return self.plan.values[value]

    def result(self, value: str, form: str) -> int:
        """Declares that the operator about to be added computes ``value`` in ``form``; the tensor to write."""
        dtype, layout = form.split("_")
        dims = quads_dims(self.dims(value)) if layout == "quads" else self.dims(value)
        assert dims is not None
        q = self.quantization(value) if dtype == "u7" else None
        index = self.tensor(value, dtype, layout, dims, q)
        self._forms[value, form] = index
        return index

    def alias(self, value: str, form: str, tensor: int) -> None:
        """``value`` in ``form`` is an existing tensor."""
        self._forms[value, form] = tensor

    def has(self, value: str, form: str) -> bool:
        """Whether the value already exists in ``form``."""
        return (value, form) in self._forms

    def f32_plain(self, value: str) -> int:
        """The value as float32, row-major, in its own dims."""
        if not self.has(value, "f32_plain"):
            form = "u7_plain" if self.has(value, "u7_plain") else "u7_quads"
            source = self._forms[value, form]
            wide = self.tensor(value, "f32", "plain", self.model.tensors[source].dims)
            self.op("dequantize", f"{value} dequantize", [source], wide)
            self._forms[value, "f32_plain"] = self._reshaped(wide, self.dims(value), value)
        return self._forms[value, "f32_plain"]

    def u7_plain(self, value: str) -> int:
        """The value as u7, row-major, in its own dims."""
        if not self.has(value, "u7_plain"):
            q = self.quantization(value)
            if self.has(value, "u7_quads"):
                source = self._forms[value, "u7_quads"]
                plain = self.tensor(value, "u7", "plain", self.model.tensors[source].dims, q)
                self.op("layout", f"{value} layout", [source], plain)
                self._forms[value, "u7_plain"] = self._reshaped(plain, self.dims(value), value)
            else:
                source = self._forms[value, "f32_plain"]
                self._quantize(value, source, self.result(value, "u7_plain"))
        return self._forms[value, "u7_plain"]

    def u7_quads(self, value: str) -> int:
        """The value as u7 quads; only values with ``quads_dims``."""
        if not self.has(value, "u7_quads"):
            dims = quads_dims(self.dims(value))
            assert dims is not None
            if self.has(value, "u7_plain"):
                source = self._reshaped(self._forms[value, "u7_plain"], dims, value)
                self.op("layout", f"{value} layout", [source], self.result(value, "u7_quads"))
            else:
                source = self._reshaped(self._forms[value, "f32_plain"], dims, value)
                self._quantize(value, source, self.result(value, "u7_quads"))
        return self._forms[value, "u7_quads"]

    def rescaled(self, tensor: int, q: Quantization) -> int:
        """A u7 tensor's values in quantization ``q``: itself, or through a table."""
        source = self.model.tensors[tensor]
        own = Quantization(source.scale, source.zero_point)
        if own == q:
            return tensor
        if (tensor, q) not in self._rescaled:
            output = self.tensor(f"{source.name} rescaled", "u7", source.layout, source.dims, q)
            table = rescale_table(own, q)[None]
            self.op("table", f"{source.name} rescale", [tensor], output, {"channels": 1}, {"table": table})
            self._rescaled[tensor, q] = output
        return self._rescaled[tensor, q]

    def _quantize(self, value: str, source: int, output: int) -> None:
        inverse = 1.0 / self.quantization(value).scale
        self.op("quantize", f"{value} quantize", [source], output, {"inverse_scale": inverse})

    def _reshaped(self, tensor: int, dims: Dims, name: str) -> int:
        source = self.model.tensors[tensor]
        if source.dims == dims:
            return tensor
        q = Quantization(source.scale, source.zero_point) if source.dtype == "u7" else None
        output = self.tensor(name, source.dtype, "plain", dims, q)
        self.op("reshape", f"{name} reshape", [tensor], output)
        return output
