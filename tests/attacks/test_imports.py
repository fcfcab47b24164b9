"""The engine cannot open, start or allocate anything: it knows no function that could."""

from __future__ import annotations

import subprocess

from tests.building import ROOT, make

ALLOWED = {"memcpy", "memset", "memcmp", "memmove"}


def test_engine_needs_only_memory_functions() -> None:
    """Undefined symbols of the static library, less those that it defines itself."""
    make("runtime/engine/engine.mk", "-j2", "build/libengine.a")
    listing = subprocess.run(
        ["nm", "-A", "build/libengine.a"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    entries = [line.split()[-2:] for line in listing.splitlines() if line]
    defined = {name for kind, name in entries if kind in "TDRBtdrb"}
    missing = {name for kind, name in entries if kind == "U"}
    assert {"lw_verify", "lw_run"} <= defined
    assert missing - defined <= ALLOWED | {"_GLOBAL_OFFSET_TABLE_"}
