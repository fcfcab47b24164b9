"""Writes a result so that it is there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from lacewing.errors import OutputError


def check_writable(path: Path) -> None:
    """Raises OutputError now rather than after minutes of work."""
    _check_place(path)
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise OutputError(f"{path}: the folder {path.parent} is not writable ({error})") from error


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; give a file name")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist; create it first")


def check_kept(target: Path, *sources: Any) -> None:
    """Raises OutputError where ``target`` is one of the files that are read; ``sources`` that are no paths are no files."""
    files = [Path(source) for source in sources if isinstance(source, (str, Path))]
    if target.exists() and any(file.exists() and target.samefile(file) for file in files):
        raise OutputError(f"{target}: is read by this very command; give another name for what is written")


def write_atomically(path: Path, content: bytes) -> None:
    """Writes ``content`` beside ``path``, syncs, renames. Raises OutputError; nothing is left behind then."""
    _check_place(path)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise OutputError(f"{path}: the folder {path.parent} is not writable ({error})") from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error})") from error
    finally:
        temporary.unlink(missing_ok=True)
