"""Writes the C header and the TypeScript module from ``description.py``; ``--check`` fails when one is stale."""

from __future__ import annotations

import json
import re
import struct
import sys
from pathlib import Path
from types import ModuleType

RUNTIME = Path(__file__).parent.parent
HEADER = RUNTIME / "engine" / "include" / "lw_format.h"
TIERS = RUNTIME / "engine" / "include" / "lacewing.h"
WEB = RUNTIME / "engine" / "wasm"
SCRIPT = RUNTIME / "web" / "src" / "format.ts"
NOTICE = "// Generated from runtime/format/description.py by generate.py. Do not edit.\n"
Record = tuple[tuple[str, str, str], ...]


def _struct(name: str, record: Record) -> str:
    lines = []
    for field, _, ctype in record:
        base, _, count = ctype.partition("[")
        lines.append(f"  {base} {field}{'[' + count if count else ''};")
    return "typedef struct {\n" + "\n".join(lines) + f"\n}} {name};\n"


def _enum(prefix: str, values: dict[str, int]) -> str:
    return "enum {\n" + "".join(f"  {prefix}{k.upper()} = {v},\n" for k, v in values.items()) + "};\n"


def render(d: ModuleType) -> str:
    """The header's text."""
    out = [NOTICE + "#ifndef LW_FORMAT_H\n#define LW_FORMAT_H\n\n#include <stdint.h>\n"]
    magic = "".join(f"\\x{b:02x}" for b in d.MAGIC)
    out.append(f'#define LW_MAGIC "{magic}"\n')
    constants = [
        "VERSION_MAJOR",
        "VERSION_MINOR",
        "ALIGNMENT",
        "HEADER_BYTES",
        "SECTION_ENTRY_BYTES",
        "MAX_TENSORS",
        "MAX_OPS",
        "MAX_INPUTS",
        "MAX_RANK",
        "MAX_DIM",
        "MAX_ELEMENTS",
        "MAX_NAME_BYTES",
        "MAX_METADATA_BYTES",
        "MAX_ATTRIBUTES",
        "NO_TENSOR",
        "QUAD",
        "ACTIVATION_MAX",
        "WEIGHT_MAX",
    ]
    out.append("".join(f"#define LW_{c} {getattr(d, c)}u\n" for c in constants))
    out.append(f"#define LW_SECTION_COUNT {len(d.SECTIONS)}u\n")
    out.append(_enum("LW_SECTION_", {name: kind for kind, name in d.SECTIONS.items()}))
    out.append(_enum("LW_DTYPE_", d.DTYPES))
    out.append(_enum("LW_LAYOUT_", d.LAYOUTS))
    out.append(_enum("LW_ENCODING_", d.ENCODINGS))
    out.append(_enum("LW_RESIZE_", d.RESIZE_MODES))
    out.append(_struct("lw_header_record", d.HEADER_RECORD))
    out.append(_struct("lw_section_record", d.SECTION_RECORD))
    out.append(_struct("lw_tensor_record", d.TENSOR_RECORD))
    out.append(_struct("lw_op_record", d.OP_RECORD))
    out.append(_struct("lw_graph_record", d.GRAPH_RECORD))
    ops = "".join(
        f'  X({o.name.upper()}, {o.kind}, "{o.name}", {len(o.attributes)}, {o.min_inputs}, {o.max_inputs}) \\\n'
        for o in d.OPERATORS
    )
    out.append(
        '// X(NAME, kind, "name", attribute count, least inputs, most inputs)\n#define LW_OPERATORS(X) \\\n'
        + ops
    )
    out.append(_enum("LW_OP_", {o.name: o.kind for o in d.OPERATORS}))
    for o in d.OPERATORS:
        if o.attributes:
            out.append(
                "enum {\n"
                + "".join(
                    f"  LW_{o.name.upper()}_{a.upper()} = {i},\n" for i, (a, _) in enumerate(o.attributes)
                )
                + "};\n"
            )
    errors = [(i.number, i.name, i.rule) for i in d.INVARIANTS] + list(d.RUN_ERRORS)
    out.append(
        '// X(NAME, number, "name", "rule")\n#define LW_ERRORS(X) \\\n'
        + "".join(f'  X({n.upper()}, {i}, "{n}", "{rule}") \\\n' for i, n, rule in errors)
    )
    out.append(
        "typedef enum {\n  LW_OK = 0,\n"
        + "".join(f"  LW_E_{n.upper()} = {i},\n" for i, n, _ in errors)
        + "} lw_status;\n"
    )
    out.append("#endif\n")
    return "// clang-format off\n" + "\n".join(out)


def _offsets(record: Record) -> dict[str, int]:
    """Byte offset of each field in the file."""
    codes = [code for _, code, _ in record]
    return {name: struct.calcsize("<" + "".join(codes[:i])) for i, (name, _, _) in enumerate(record)}


def _tiers() -> dict[int, str]:
    """The tiers of lacewing.h by number, named as lw_tier_name does."""
    return {
        int(number): name.lower() for name, number in re.findall(r"LW_TIER_(\w+) = (\d+)", TIERS.read_text())
    }


def web_slots() -> dict[str, dict[str, int]]:
    """The slots of each array that passes between JavaScript and the WebAssembly module (lw_web.h, lw_image.h)."""
    arrays = {}
    text = (WEB / "lw_web.h").read_text() + (WEB / "lw_image.h").read_text()
    for body, array in re.findall(r"typedef enum \{([^}]*)\} lw_web_(\w+)_slot;", text):
        names = re.findall(rf"\bLW_WEB_{array.upper()}_(\w+),?", re.sub(r"//.*", "", body))
        arrays[array] = {name.lower(): slot for slot, name in enumerate(names)}
    return arrays


def _stack_bytes() -> int:
    match = re.search(r"#define LW_WEB_STACK_BYTES (\d+)u", (WEB / "lw_web.h").read_text())
    assert match is not None
    return int(match[1])


def _script_enum(name: str, values: dict[str, int]) -> str:
    """A constant enumeration: its numbers end in the built script, its names do not."""
    return f"export const enum {name} {{\n" + "".join(f"  {k} = {v},\n" for k, v in values.items()) + "}\n"


def render_script(d: ModuleType) -> str:
    """The TypeScript module's text: what JavaScript must know of the file and of the engine's answers."""
    errors = [(i.number, i.name, i.rule) for i in d.INVARIANTS] + list(d.RUN_ERRORS)
    tables = {
        "MAGIC": list(d.MAGIC),
        "ALIGNMENT": d.ALIGNMENT,
        "HEADER_BYTES": d.HEADER_BYTES,
        "DTYPES": d.DTYPES,
        "OPERATORS": {o.kind: o.name for o in d.OPERATORS},
        "FIRST_RUN_ERROR": d.RUN_ERRORS[0][0],
        "TIERS": _tiers(),
        "WORKER_STACK_BYTES": _stack_bytes(),
        "STATUSES": {number: [name, rule] for number, name, rule in errors},
    }
    lines = [f"export const {name} = {json.dumps(value)} as const;\n" for name, value in tables.items()]
    enums = {"HeaderOffset": _offsets(d.HEADER_RECORD)}
    enums |= {f"{array.capitalize()}Slot": slots for array, slots in web_slots().items()}
    lines += [_script_enum(name, values) for name, values in enums.items()]
    return NOTICE + "".join(lines)


def main() -> int:
    """Writes or checks both."""
    from lacewing.format import description

    stale = 0
    for path, text in ((HEADER, render(description)), (SCRIPT, render_script(description))):
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.is_file() or path.read_text() != text:
            print(f"{path} is stale: run python -m lacewing.format.generate", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
