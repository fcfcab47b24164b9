"""Runs the self-test models and takes SHA-256 digests of what they give."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files

from lacewing.commands.inputs import random_inputs
from lacewing.selftest.models import MODELS
from lacewing.session import Session

INPUT_SETS = 3  # different random inputs per model


def expected() -> dict[str, str]:
    """The committed digests by model name."""
    document = json.loads(files("lacewing.selftest").joinpath("digests.json").read_text(encoding="utf-8"))
    return {str(name): str(digest) for name, digest in document.items()}


def digests(threads: int = 1) -> dict[str, str]:
    """SHA-256 of all outputs per model, with the kernel tier that the environment asks for."""
    return {name: _digest(build().to_bytes(), threads) for name, build in MODELS.items()}


def _digest(file: bytes, threads: int) -> str:
    digest = hashlib.sha256()
    with Session(file, threads=threads) as session:
        for seed in range(INPUT_SETS):
            results = session.run(random_inputs(session.inputs, seed))
            for info in session.outputs:
                array = results[info.name]
                digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()
