"""Writes the generated tables of docs/format.md from ``description.py``; ``--check`` fails when they are stale."""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

from lacewing.format import description as d

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "format.md"
_MARKERS = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _record(record: tuple[tuple[str, str, str], ...]) -> str:
    rows = []
    offset = 0
    for name, code, ctype in record:
        size = struct.calcsize("<" + code)
        rows.append((str(offset), str(size), f"`{name}`", f"`{ctype}`"))
        offset += size
    return _table(("offset", "bytes", "field", "type"), rows) + f"\n{offset} bytes.\n"


def _limits() -> str:
    names = ("MAX_TENSORS", "MAX_OPS", "MAX_INPUTS", "MAX_RANK", "MAX_DIM", "MAX_ELEMENTS", "MAX_NAME_BYTES")
    rows = [(name[4:].lower().replace("_", " "), f"{getattr(d, name):,}") for name in names]
    rows.append(("metadata bytes", f"{d.MAX_METADATA_BYTES:,}"))
    return _table(("limit", "value"), rows)


def _codes() -> str:
    groups = (
        ("section", {name: kind for kind, name in d.SECTIONS.items()}),
        ("dtype", d.DTYPES),
        ("layout", d.LAYOUTS),
        ("encoding (conv)", d.ENCODINGS),
        ("mode (resize)", d.RESIZE_MODES),
    )
    rows = [(group, ", ".join(f"{name} = {n}" for name, n in codes.items())) for group, codes in groups]
    return _table(("field", "values"), rows)


def _operators() -> str:
    rows = []
    for op in d.OPERATORS:
        attributes = ", ".join(f"{name} {kind}" if kind != "u32" else name for name, kind in op.attributes)
        counts = str(op.min_inputs) if op.min_inputs == op.max_inputs else f"{op.min_inputs}-{op.max_inputs}"
        rows.append((str(op.kind), f"**{op.name}**", counts, attributes, op.summary))
    return _table(
        ("kind", "operator", "inputs", "attributes, in slot order (u32 unless said)", "what it is"), rows
    )


def _parts() -> str:
    rows = [(op.name, part.name, part.dtype, f"`{part.shape}`") for op in d.OPERATORS for part in op.parts]
    return _table(("operator", "part", "type", "shape"), rows)


def _invariants() -> str:
    rows = [(str(i.number), f"`{i.name}`", i.rule) for i in d.INVARIANTS]
    return _table(("no.", "name", "rule"), rows)


def _run_errors() -> str:
    return _table(("no.", "name", "meaning"), [(str(n), f"`{name}`", rule) for n, name, rule in d.RUN_ERRORS])


def tables() -> dict[str, str]:
    """Marker name -> Markdown."""
    return {
        "header": _record(d.HEADER_RECORD),
        "section": _record(d.SECTION_RECORD),
        "tensor": _record(d.TENSOR_RECORD),
        "op": _record(d.OP_RECORD),
        "graph": _record(d.GRAPH_RECORD),
        "codes": _codes(),
        "limits": _limits(),
        "operators": _operators(),
        "parts": _parts(),
        "invariants": _invariants(),
        "run_errors": _run_errors(),
    }


def render(text: str) -> str:
    """``text`` with every generated block renewed. Raises KeyError for an unknown block, ValueError for a missing one."""
    known = tables()
    found = [match.group(2) for match in _MARKERS.finditer(text)]
    if sorted(found) != sorted(known):
        raise ValueError(f"docs/format.md has the blocks {sorted(found)}, not {sorted(known)}")
    return _MARKERS.sub(lambda m: m.group(1) + known[m.group(2)] + m.group(3), text)


def main() -> int:
    """Writes or checks the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    wanted = render(text)
    if "--check" in sys.argv:
        if text != wanted:
            print(f"{DOCUMENT} is stale: run python -m lacewing.format.document", file=sys.stderr)
            return 1
        return 0
    DOCUMENT.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
