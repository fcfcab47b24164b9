"""Reads an ONNX file into a checked ModelProto in memory. External data never leave the model's folder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from onnx import GraphProto, ModelProto, TensorProto

from ..errors import ModelFileError

MIN_OPSET = 7
MAX_OPSET = 22
MAX_FILE_BYTES = (1 << 31) - 1  # a protobuf message cannot be longer


def read_model(path: str | Path) -> ModelProto:
    """The model at ``path`` with external data loaded and local functions inlined.

    Raises ModelFileError if it is not a readable ONNX model of an opset in MIN_OPSET..MAX_OPSET.
    """
    path = Path(path)
    model = _parse(path)
    if not model.graph.node:
        raise ModelFileError(f"{path}: the graph has no nodes; is it an ONNX model?")
    _check_opset(path, model)
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            _load_external(path.parent, tensor)
    if model.functions:
        model = _inline(path, model)
    return model


def _parse(path: Path) -> ModelProto:
    if not path.exists():
        raise ModelFileError(f"{path}: no such file")
    if not path.is_file():
        raise ModelFileError(f"{path}: not a regular file")
    try:
        size = path.stat().st_size
        if size == 0:
            raise ModelFileError(f"{path}: the file is empty")
        if size > MAX_FILE_BYTES:
            raise ModelFileError(f"{path}: {size} bytes are too long for an ONNX file; use external data")
        content = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from error
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise ModelFileError(f"{path}: damaged or not an ONNX model ({error})") from error
    return model


def opset_of(model: ModelProto) -> int:
    """The version of the ai.onnx domain that the model imports; 0 if it imports none."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def _check_opset(path: Path, model: ModelProto) -> None:
    opset = opset_of(model)
    if opset == 0:
        raise ModelFileError(f"{path}: the model imports no version of the ai.onnx operators")
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise ModelFileError(
            f"{path}: opset {opset} is outside {MIN_OPSET}..{MAX_OPSET}; "
            "export again with another opset or use onnx.version_converter"
        )


def _inline(path: Path, model: ModelProto) -> ModelProto:
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except (RuntimeError, ValueError) as error:
        raise ModelFileError(f"{path}: its local functions cannot be inlined: {error}") from error


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Every tensor stored in the graph, those of nested graphs included."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from _tensors(attribute.g)
            for nested in attribute.graphs:
                yield from _tensors(nested)


def _load_external(folder: Path, tensor: TensorProto) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    file = _confined(folder, tensor.name, entries.get("location", ""))
    expected = _tensor_bytes(tensor)
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(expected)))
    except ValueError as error:
        raise ModelFileError(f"tensor '{tensor.name}': offset or length is not a number") from error
    if length != expected:
        raise ModelFileError(f"tensor '{tensor.name}': external length {length}, its shape needs {expected}")
    try:
        size = file.stat().st_size
        if offset < 0 or offset + length > size:
            raise ModelFileError(
                f"tensor '{tensor.name}': bytes {offset}..{offset + length} are outside {file.name} ({size} bytes)"
            )
        with file.open("rb") as stream:
            stream.seek(offset)
            tensor.raw_data = stream.read(length)
    except OSError as error:
        raise ModelFileError(f"tensor '{tensor.name}': {file.name}: {error.strerror}") from error
    tensor.ClearField("external_data")
    tensor.data_location = TensorProto.DEFAULT


def _confined(folder: Path, name: str, location: str) -> Path:
    """The file that ``location`` names, provided that it lies in ``folder`` after following every link."""
    parts = PurePosixPath(location).parts
    foreign = PureWindowsPath(location)
    if not location or "\0" in location or location.startswith(("/", "\\")) or foreign.drive:
        raise ModelFileError(f"tensor '{name}': external data location {location!r} is not a relative path")
    if ".." in parts or ".." in foreign.parts:
        raise ModelFileError(
            f"tensor '{name}': external data location {location!r} leaves the model's folder"
        )
    file = (folder / location).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ModelFileError(f"tensor '{name}': {location!r} is a link that leaves the model's folder")
    if not file.is_file():
        raise ModelFileError(f"tensor '{name}': external data file {location!r} is missing")
    return file


def _tensor_bytes(tensor: TensorProto) -> int:
    if any(dim < 0 for dim in tensor.dims):
        raise ModelFileError(f"tensor '{tensor.name}': negative dimension")
    try:
        item = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except KeyError as error:
        raise ModelFileError(f"tensor '{tensor.name}': unknown element type {tensor.data_type}") from error
    return int(item * math.prod(tensor.dims))
