"""The ``--threads`` argument."""

from __future__ import annotations

from lacewing.errors import UsageError


def parse_threads(value: str | None) -> int | str | None:
    """What ``Session(threads=...)`` takes. Raises ``UsageError`` for neither a number nor "auto"."""
    if value is None or value == "auto":
        return value
    if value.isascii() and value.isdigit() and len(value) < 5:
        return int(value)
    raise UsageError(f'--threads {value}: give a number or "auto"')
