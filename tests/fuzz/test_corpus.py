"""The libFuzzer entry point on its seeds: the conformance vectors, the golden bad files, and what fuzzing found."""

from __future__ import annotations

import subprocess

from tests.conformance.make_vectors import FOLDER
from tests.fuzz.build import ROOT, program
from tests.golden.make_bad import BAD

FOUND = ROOT / "tests" / "fuzz" / "corpus"  # files that once broke a promise


def test_replay() -> None:
    """As they are, and with the checksum made right."""
    files = [path for folder in (FOLDER, BAD, FOUND) for path in sorted(folder.glob("*.lace"))]
    done = subprocess.run([program("replay"), *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == f"{len(files)} files\n"
