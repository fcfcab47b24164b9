"""Runs on the emulated board: ``python counted.py RUNTIME RUNS MODEL...`` runs every model between the plugin's marks.

Prints one JSON object: what the runtime calls itself for each model, and the process's memory map, by which the addresses
of the plugin get their names. Nothing but this process's only thread runs between two marks.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from lacewing.bench.peers import LACEWING, PEERS

MARK, BEGIN, END = 0x1ACE, 0, 1  # instructions.c
WARM_UP = 1  # runs: LiteRT and onnxruntime pack weights and grow buffers in their first


def mark(which: int) -> None:
    """Tells the plugin; the call itself has no such `which` and fails."""
    with suppress(OSError):
        os.getpriority(MARK, which)


def main() -> None:
    """Counts every model."""
    name, runs = sys.argv[1], int(sys.argv[2])
    peer = LACEWING if name == LACEWING.name else PEERS[name]
    models = []
    for path in sys.argv[3:]:
        runner = peer.open_model(Path(path), threads=1)
        for _ in range(WARM_UP):
            runner.run()
        for _ in range(runs):
            mark(BEGIN)
            runner.run()
            mark(END)
        models.append({"dtype": runner.dtype, "target": runner.target})
    maps = Path("/proc/self/maps").read_text(encoding="ascii")
    print(json.dumps({"models": models, "maps": maps}))


if __name__ == "__main__":
    main()
