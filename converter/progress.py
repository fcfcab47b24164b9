"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]  # (stage, share of it done, 0..1)


def silent(stage: str, share: float) -> None:
    """Tells nobody."""
