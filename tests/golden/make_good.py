"""Writes tests/golden/good: files of each released format version with the digests of their outputs.

``python -m tests.golden.make_good`` adds what is missing and never changes a file that exists: a later version must
read these bytes and give these digests for ever. Names start with the version that wrote the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lacewing.format import Model
from lacewing.format.description import VERSION_MAJOR, VERSION_MINOR
from tests.conformance.inputs import vector_inputs
from tests.conformance.make_vectors import digests
from tests.golden.base import base_model
from tests.model_cases import operator_cases
from tests.oracle import run

GOOD = Path(__file__).parent / "good"
INDEX = GOOD / "digests.json"
SEED = 20


def _models() -> dict[str, Callable[[], Model]]:
    cases = operator_cases()
    chosen = (
        "network_residual",
        "network_branches",
        "network_shared_output",
        "quantize_dequantize",
        "softmax",
    )
    return {"base": base_model, **{name: cases[name] for name in chosen}}


def main() -> None:
    """Adds the files of this format version that do not exist."""
    GOOD.mkdir(exist_ok=True)
    index: dict[str, Any] = json.loads(INDEX.read_text()) if INDEX.exists() else {}
    for name, build in _models().items():
        path = GOOD / f"v{VERSION_MAJOR}.{VERSION_MINOR}_{name}.lace"
        if path.name in index:
            continue
        model = build()
        path.write_bytes(model.to_bytes())
        index[path.name] = {"seed": SEED, "outputs": digests(run(model, vector_inputs(model, SEED)))}
    INDEX.write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
