"""Reads and writes ``.lace`` files; the records come from ``description.py``, the rules from docs/format.md.

Reading here trusts the file: run the verifier (``lacewing.verify``) first. Writing lays out exactly one
encoding per meaning; the caller verifies the result (the converter always does).
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.format import description as d

_NUMPY = {"u8": np.uint8, "i8": np.int8, "u16": np.uint16, "i32": np.int32, "f32": np.float32}
Array = npt.NDArray[Any]


def ceil_div(a: int, b: int) -> int:
    """Smallest integer not below a / b."""
    return -(-a // b)


def align(n: int) -> int:
    """n rounded up to the file's alignment."""
    return ceil_div(n, d.ALIGNMENT) * d.ALIGNMENT


@dataclass
class Tensor:
    """An activation: logical ``dims`` (NCHW when quads), ``dtype`` u7 or f32, ``layout`` plain or quads."""

    name: str
    dtype: str
    layout: str
    dims: tuple[int, ...]
    scale: float = 0.0  # float32 value; 0 for f32 tensors
    zero_point: int = 0


@dataclass
class Op:
    """An operator: ``kind`` is a name of ``description.OPERATORS``; ``data`` maps part names to arrays."""

    kind: str
    name: str
    inputs: list[int]
    output: int
    attributes: dict[str, float | int] = field(default_factory=dict)
    data: dict[str, Array] = field(default_factory=dict)


@dataclass
class Model:
    """A whole file. Tensors and ops are referred to by index; ops stand in execution order."""

    tensors: list[Tensor] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The file's bytes, checksum included."""
        names = _Names()
        data = bytearray()
        tensors = b"".join(_pack_tensor(t, names) for t in self.tensors)
        ops = b"".join(_pack_op(op, names, data) for op in self.ops)
        graph = struct.pack("<II", len(self.inputs), len(self.outputs))
        graph += b"".join(struct.pack("<I", i) for i in [*self.inputs, *self.outputs])
        return _assemble(
            [tensors, ops, graph, bytes(names.bytes), metadata_bytes(self.metadata), bytes(data)]
        )

    @staticmethod
    def from_bytes(file: bytes | bytearray | memoryview) -> Model:
        """Parses a verified file. Arrays are read-only views of ``file``."""
        sections = _sections(file)
        names = bytes(sections["names"])
        tensors = [_unpack_tensor(r, names) for r in _records(sections["tensors"], d.TENSOR_RECORD)]
        ops = [
            _unpack_op(r, names, sections["data"], tensors) for r in _records(sections["ops"], d.OP_RECORD)
        ]
        counts = struct.unpack_from("<II", sections["graph"], 0)
        ids = struct.unpack_from(f"<{counts[0] + counts[1]}I", sections["graph"], 8)
        text = bytes(sections["metadata"]).decode()
        return Model(
            tensors, ops, list(ids[: counts[0]]), list(ids[counts[0] :]), json.loads(text) if text else {}
        )


def metadata_bytes(metadata: dict[str, Any]) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8; nothing for an empty object."""
    if not metadata:
        return b""
    return json.dumps(metadata, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def checksum(body: bytes | memoryview) -> int:
    """Position-keyed sum of mixed 64-bit words of everything after the header (docs/format.md).

    Any change of one word changes the sum, since the mix is a bijection.
    """
    words = np.frombuffer(body, dtype="<u8")
    with np.errstate(over="ignore"):
        x = words + (np.arange(1, len(words) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        x ^= x >> np.uint64(32)
        x *= np.uint64(0xD6E8FEB86659FD93)
        x ^= x >> np.uint64(29)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(32)
        return int(x.sum(dtype=np.uint64))


def part_shapes(op: Op, tensors: list[Tensor], kept: int | None = None) -> dict[str, tuple[int, ...]]:
    """Shape of every data part of ``op``, in file order; ``kept`` (blocks) is needed for a bitmask conv."""
    a = op.attributes
    source, result = tensors[op.inputs[0]], tensors[op.output]
    taps = int(a.get("kernel_h", 1)) * int(a.get("kernel_w", 1))
    if op.kind == "conv":
        rows = conv_rows(op, tensors)
        k4 = taps * ceil_div(source.dims[1], d.QUAD)
        r = int(a["block_rows"])
        dense = a["encoding"] == d.ENCODINGS["dense"]
        blocks = rows * k4 if dense else kept
        assert blocks is not None
        shapes: dict[str, tuple[int, ...]] = {} if dense else {"mask": (rows, ceil_div(k4, 8))}
        return shapes | {"weights": (blocks, r, d.QUAD), "bias": (rows * r,), "scale": (rows * r,)}
    if op.kind == "depthwise":
        c4 = ceil_div(source.dims[1], d.QUAD)
        return {"weights": (c4, taps, d.QUAD), "bias": (c4 * d.QUAD,), "scale": (c4 * d.QUAD,)}
    if op.kind == "avg_pool":
        padded = any(a[f"pad_{side}"] for side in ("top", "left", "bottom", "right"))
        return {"multipliers": (taps if padded and not a["include_pad"] else 1,)}
    if op.kind == "resize":
        bilinear = a["mode"] == d.RESIZE_MODES["bilinear"]
        fields = ("low", "high", "weight") if bilinear else ("low",)
        axes = (("row", result.dims[2]), ("col", result.dims[3]))
        return {f"{axis}_{f}": (size,) for axis, size in axes for f in fields}
    if op.kind == "table":
        return {"table": (int(a["channels"]), 128)}
    return {}


def conv_rows(op: Op, tensors: list[Tensor]) -> int:
    """Rows of blocks of a convolution: ceil(output channels / block_rows)."""
    result = tensors[op.output]
    channels = result.dims[1] if len(result.dims) > 1 else result.dims[0]
    return ceil_div(channels, int(op.attributes["block_rows"]))


class _Names:
    def __init__(self) -> None:
        self.bytes = bytearray()

    def add(self, name: str) -> tuple[int, int]:
        raw = name.encode()[: d.MAX_NAME_BYTES].decode(errors="ignore").encode()
        offset = len(self.bytes)
        self.bytes += raw
        return offset, len(raw)


def _pack(record: tuple[tuple[str, str, str], ...], values: dict[str, Any]) -> bytes:
    out = b""
    for name, code, _ in record:
        value = values.get(name, b"" if code.endswith("s") else 0)
        out += struct.pack("<" + code, *(value if isinstance(value, (list, tuple)) else (value,)))
    return out


def _unpack(record: tuple[tuple[str, str, str], ...], raw: memoryview) -> dict[str, Any]:
    out: dict[str, Any] = {}
    offset = 0
    for name, code, _ in record:
        values = struct.unpack_from("<" + code, raw, offset)
        out[name] = values if code[0].isdigit() and not code.endswith("s") else values[0]
        offset += struct.calcsize("<" + code)
    return out


def record_bytes(record: tuple[tuple[str, str, str], ...]) -> int:
    """Size of one record."""
    return struct.calcsize("<" + "".join(code for _, code, _ in record))


def _pack_tensor(t: Tensor, names: _Names) -> bytes:
    offset, length = names.add(t.name)
    return _pack(
        d.TENSOR_RECORD,
        {
            "name_offset": offset,
            "name_bytes": length,
            "dtype": d.DTYPES[t.dtype],
            "layout": d.LAYOUTS[t.layout],
            "rank": len(t.dims),
            "dims": [*t.dims, *([0] * (d.MAX_RANK - len(t.dims)))],
            "scale": t.scale,
            "zero_point": t.zero_point,
        },
    )


def _pack_op(op: Op, names: _Names, data: bytearray) -> bytes:
    spec = d.OPERATOR_BY_NAME[op.kind]
    offset, length = names.add(op.name)
    start = len(data)
    for part in spec.parts:
        if part.name in op.data:
            array = np.ascontiguousarray(
                op.data[part.name], dtype=np.dtype(_NUMPY[part.dtype]).newbyteorder("<")
            )
            data += array.tobytes()
            data += bytes(align(len(data)) - len(data))
    slots = [0] * d.MAX_ATTRIBUTES
    for i, (name, kind) in enumerate(spec.attributes):
        value = op.attributes[name]
        slots[i] = struct.unpack("<I", struct.pack("<f", value))[0] if kind == "f32" else int(value)
    return _pack(
        d.OP_RECORD,
        {
            "kind": spec.kind,
            "input_count": len(op.inputs),
            "name_offset": offset,
            "name_bytes": length,
            "inputs": [*op.inputs, *([d.NO_TENSOR] * (d.MAX_INPUTS - len(op.inputs)))],
            "output": op.output,
            "data_offset": start,
            "data_bytes": len(data) - start,
            "attributes": slots,
        },
    )


def _assemble(sections: list[bytes]) -> bytes:
    offset = align(d.HEADER_BYTES + len(sections) * d.SECTION_ENTRY_BYTES)
    table, body = b"", b""
    for kind, section in zip(d.SECTIONS, sections, strict=True):
        table += _pack(d.SECTION_RECORD, {"kind": kind, "offset": offset, "bytes": len(section)})
        body += section + bytes(align(len(section)) - len(section))
        offset += align(len(section))
    table += bytes(align(d.HEADER_BYTES + len(table)) - d.HEADER_BYTES - len(table))
    rest = table + body
    header = {
        "magic": d.MAGIC,
        "version_major": d.VERSION_MAJOR,
        "version_minor": d.VERSION_MINOR,
        "section_count": len(sections),
        "file_bytes": d.HEADER_BYTES + len(rest),
        "checksum": checksum(rest),
    }
    return _pack(d.HEADER_RECORD, header) + rest


def _sections(file: bytes | bytearray | memoryview) -> dict[str, memoryview]:
    view = memoryview(file).toreadonly()
    out = {}
    for i, name in enumerate(d.SECTIONS.values()):
        entry = _unpack(d.SECTION_RECORD, view[d.HEADER_BYTES + i * d.SECTION_ENTRY_BYTES :])
        out[name] = view[entry["offset"] : entry["offset"] + entry["bytes"]]
    return out


def _records(section: memoryview, record: tuple[tuple[str, str, str], ...]) -> list[dict[str, Any]]:
    size = record_bytes(record)
    return [_unpack(record, section[i : i + size]) for i in range(0, len(section), size)]


def _unpack_tensor(r: dict[str, Any], names: bytes) -> Tensor:
    name = names[r["name_offset"] : r["name_offset"] + r["name_bytes"]].decode()
    dtype = {v: k for k, v in d.DTYPES.items()}[r["dtype"]]
    layout = {v: k for k, v in d.LAYOUTS.items()}[r["layout"]]
    return Tensor(name, dtype, layout, tuple(r["dims"][: r["rank"]]), r["scale"], r["zero_point"])


def _unpack_op(r: dict[str, Any], names: bytes, data: memoryview, tensors: list[Tensor]) -> Op:
    spec = d.OPERATOR_BY_KIND[r["kind"]]
    attributes: dict[str, float | int] = {}
    for (name, kind), slot in zip(spec.attributes, r["attributes"], strict=False):
        attributes[name] = struct.unpack("<f", struct.pack("<I", slot))[0] if kind == "f32" else slot
    op = Op(
        spec.name,
        names[r["name_offset"] : r["name_offset"] + r["name_bytes"]].decode(),
        list(r["inputs"][: r["input_count"]]),
        r["output"],
        attributes,
    )
    offset = r["data_offset"]
    kept: int | None = None
    if spec.name == "conv" and attributes["encoding"] == d.ENCODINGS["bitmask"]:
        mask_shape = part_shapes(op, tensors, kept=0)["mask"]
        mask = np.frombuffer(data, np.uint8, int(np.prod(mask_shape)), offset)
        kept = int(np.unpackbits(mask).sum())
    for part, shape in part_shapes(op, tensors, kept).items():
        dtype = np.dtype(_NUMPY[next(p.dtype for p in spec.parts if p.name == part)]).newbyteorder("<")
        count = int(np.prod(shape))
        op.data[part] = np.frombuffer(data, dtype, count, offset).reshape(shape)
        offset += align(count * dtype.itemsize)
    return op
