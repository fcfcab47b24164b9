"""Builds the sanitized programs of fuzz.mk."""

from __future__ import annotations

from pathlib import Path

from tests.building import ROOT, make


def program(name: str) -> Path:
    """``build/fuzz/<name>``, up to date. Fails with the compiler's words."""
    target = f"build/fuzz/{name}"
    make("tests/fuzz/fuzz.mk", "-j2", target)
    return ROOT / target
