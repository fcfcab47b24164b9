"""Writes the conformance vectors: ``python -m tests.conformance.make_vectors``.

Digests come from the numpy oracle, never from the engine. Vectors are only ever added: a changed digest is a changed
definition of an operator.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.format import Model
from tests.conformance.inputs import vector_inputs
from tests.model_cases import operator_cases
from tests.oracle import run

FOLDER = Path(__file__).parent / "vectors"
INDEX = FOLDER / "vectors.json"


def digest(array: npt.NDArray[Any]) -> str:
    """SHA-256 of the array's row-major little-endian bytes."""
    return hashlib.sha256(array.astype(array.dtype.newbyteorder("<"), order="C").tobytes()).hexdigest()


def digests(results: dict[str, npt.NDArray[Any]]) -> dict[str, str]:
    """Output name -> digest."""
    return {name: digest(np.asarray(array)) for name, array in results.items()}


def main() -> None:
    """Writes files that are missing and the index of all."""
    FOLDER.mkdir(exist_ok=True)
    index: dict[str, Any] = json.loads(INDEX.read_text()) if INDEX.exists() else {}
    for seed, (name, build) in enumerate(operator_cases().items(), start=1):
        path = FOLDER / f"{name}.lace"
        if name in index:
            continue
        path.write_bytes(build().to_bytes())
        model = Model.from_bytes(path.read_bytes())
        index[name] = {"seed": seed, "outputs": digests(run(model, vector_inputs(model, seed)))}
    INDEX.write_text(json.dumps(dict(sorted(index.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
