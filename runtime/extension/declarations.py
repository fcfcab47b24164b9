"""Turns the engine's public headers into declarations that cffi can parse: the headers stay the one list.

Used only while the extension is built; standard library only.
"""

from __future__ import annotations

import re
from pathlib import Path

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_CONTINUATION = re.compile(r"\\\n")
_DIRECTIVE = re.compile(r"^[ \t]*#[^\n]*$", re.MULTILINE)
_CPLUSPLUS = re.compile(r"^[ \t]*#ifdef __cplusplus\n.*?^[ \t]*#endif[^\n]*$", re.MULTILINE | re.DOTALL)
_FILE_ONLY = re.compile(r"^enum \{.*?\};|^typedef struct \{[^}]*\} lw_\w+_record;", re.MULTILINE | re.DOTALL)
_CONSTANT = re.compile(r"^[ \t]*#define[ \t]+(\w+)[ \t]+(\d+)u?[ \t]*$", re.MULTILINE)


def constants(header: str) -> dict[str, int]:
    """Every ``#define NAME integer`` of the text."""
    return {name: int(value) for name, value in _CONSTANT.findall(_COMMENT.sub("", header))}


def declarations(paths: list[Path]) -> str:
    """The C declarations of the headers, in order, without preprocessor lines; array sizes are numbers.

    What describes the file's bytes (records, and numbers that no named type holds) is left out: Python has it from
    ``lacewing.format.description``, and cffi would make a function of each. Constants come from the last header.
    Raises ``FileNotFoundError`` for a header that does not exist.
    """
    texts = [_COMMENT.sub("", path.read_text(encoding="utf-8")) for path in paths]
    sizes: dict[str, int] = {}
    for text in texts:
        sizes.update(constants(text))
    joined = "\n".join(_DIRECTIVE.sub("", _CONTINUATION.sub(" ", _CPLUSPLUS.sub("", text))) for text in texts)
    body = _FILE_ONLY.sub("", re.sub(r"\[(\w+)\]", lambda m: f"[{sizes.get(m[1], m[1])}]", joined))
    defines = "".join(f"#define {name} {value}\n" for name, value in constants(texts[-1]).items())
    return defines + re.sub(r"\n\s*\n+", "\n", body)
