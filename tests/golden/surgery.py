"""Edits ``.lace`` bytes field by field, without the writer's help: what an attacker would do.

A field is named by its record and its name in ``description.py``. Nothing here repairs anything except
``fix_checksum``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lacewing.format import description as d
from lacewing.format.model import checksum, record_bytes

Record = tuple[tuple[str, str, str], ...]
CHECKSUM_OFFSET = record_bytes(d.HEADER_RECORD[: [name for name, _, _ in d.HEADER_RECORD].index("checksum")])


@dataclass(frozen=True)
class Field:
    """One scalar of a record: where it stands in the file and how it is packed."""

    label: str  # e.g. "tensor 2 dims[1]"
    offset: int  # bytes from the start of the file
    code: str  # struct code of one value

    @property
    def bytes(self) -> int:
        """Size of the value."""
        return struct.calcsize("<" + self.code)


def section(file: bytes | bytearray, name: str) -> tuple[int, int]:
    """(offset, bytes) of a section as its entry says."""
    index = list(d.SECTIONS.values()).index(name)
    _, _, offset, size, _ = struct.unpack_from("<IIQQQ", file, d.HEADER_BYTES + index * d.SECTION_ENTRY_BYTES)
    return offset, size


def record_fields(record: Record, label: str, start: int) -> Iterator[Field]:
    """Every scalar of one record that starts at ``start``; byte strings count as one value per byte."""
    offset = start
    for name, code, _ in record:
        count, unit = int(code[:-1] or 1), code[-1]
        unit = "B" if unit == "s" else unit
        for i in range(count):
            yield Field(f"{label} {name}" + (f"[{i}]" if count > 1 else ""), offset, unit)
            offset += struct.calcsize("<" + unit)


def all_fields(file: bytes | bytearray) -> list[Field]:
    """Every scalar of every record: header, section table, tensors, operators, graph."""
    fields = list(record_fields(d.HEADER_RECORD, "header", 0))
    for i, name in enumerate(d.SECTIONS.values()):
        at = d.HEADER_BYTES + i * d.SECTION_ENTRY_BYTES
        fields += record_fields(d.SECTION_RECORD, f"section {name}", at)
    for name, kind, record in (("tensors", "tensor", d.TENSOR_RECORD), ("ops", "op", d.OP_RECORD)):
        offset, size = section(file, name)
        step = record_bytes(record)
        for i in range(size // step):
            fields += record_fields(record, f"{kind} {i}", offset + i * step)
    offset, size = section(file, "graph")
    fields += [Field(f"graph [{i}]", offset + 4 * i, "I") for i in range(size // 4)]
    return fields


def field(file: bytes | bytearray, label: str) -> Field:
    """The field called ``label``. Raises KeyError."""
    for candidate in all_fields(file):
        if candidate.label == label:
            return candidate
    raise KeyError(label)


def get(file: bytes | bytearray, where: Field | str) -> Any:
    """The value of a field."""
    f = field(file, where) if isinstance(where, str) else where
    return struct.unpack_from("<" + f.code, file, f.offset)[0]


def put(file: bytearray, where: Field | str, value: float) -> None:
    """Overwrites one field; integers wrap to its width."""
    f = field(file, where) if isinstance(where, str) else where
    if f.code == "f":
        struct.pack_into("<f", file, f.offset, value)
    else:
        struct.pack_into("<" + f.code, file, f.offset, int(value) & ((1 << 8 * f.bytes) - 1))


def fix_checksum(file: bytearray) -> bytearray:
    """Makes the checksum right again; the file must be a whole number of lines long."""
    struct.pack_into("<Q", file, CHECKSUM_OFFSET, checksum(bytes(file[d.HEADER_BYTES :])))
    return file


def grown(file: bytes | bytearray, name: str, extra: bytes) -> bytearray:
    """The file with ``extra`` appended to a section's content and every later offset moved; checksum fixed."""
    sections = {n: bytes(file[o : o + s]) for n in d.SECTIONS.values() for o, s in [section(file, n)]}
    sections[name] += extra
    return assembled(file, sections)


def assembled(file: bytes | bytearray, sections: dict[str, bytes]) -> bytearray:
    """A file with these section contents and the header of ``file``, offsets, sizes and checksum made right."""
    line = d.ALIGNMENT
    out = bytearray(file[: d.HEADER_BYTES + len(d.SECTIONS) * d.SECTION_ENTRY_BYTES])
    out += bytes(-len(out) % line)
    for i, name in enumerate(d.SECTIONS.values()):
        struct.pack_into(
            "<QQ", out, d.HEADER_BYTES + i * d.SECTION_ENTRY_BYTES + 8, len(out), len(sections[name])
        )
        out += sections[name] + bytes(-len(sections[name]) % line)
    put(out, "header file_bytes", len(out))
    return fix_checksum(out)
