"""Runs on the emulated board: digests of what models give there. Only the standard library, numpy and lacewing.

``python on_board.py JOBS.json``: a list of {"name", "model", "inputs": a .npz, "tier": a name or "", "threads"}. Prints one JSON
object per job: {"name", "tier", "threads", "outputs": {name: SHA-256 of the row-major little-endian bytes}}.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

import lacewing


def digests(job: dict[str, Any]) -> dict[str, str]:
    """Output name -> digest."""
    os.environ["LACEWING_TIER"] = job["tier"]
    with np.load(job["inputs"]) as inputs, lacewing.Session(job["model"], threads=job["threads"]) as session:
        results = session.run({name: inputs[name] for name in inputs.files})
    return {
        name: hashlib.sha256(array.astype(array.dtype.newbyteorder("<"), order="C").tobytes()).hexdigest()
        for name, array in results.items()
    }


def main() -> None:
    """Answers every job, in order."""
    for job in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        answer = {key: job[key] for key in ("name", "tier", "threads")} | {"outputs": digests(job)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
