"""Writes tests/golden/bad: ``python -m tests.golden.make_bad``; with ``--check`` it only compares."""

from __future__ import annotations

import sys
from pathlib import Path

from lacewing.format.description import INVARIANTS
from tests.golden.cases import all_cases

BAD = Path(__file__).parent / "bad"


def bad_files() -> dict[str, bytes]:
    """File name -> bytes; the name starts with the invariant's number and name."""
    number = {i.name: i.number for i in INVARIANTS}
    return {f"{number[name]:02}_{name}.{what}.lace": build() for (name, what), build in all_cases().items()}


def main() -> int:
    """Writes the files, or says which are stale."""
    wanted = bad_files()
    present = {path.name: path.read_bytes() for path in BAD.glob("*.lace")}
    if "--check" in sys.argv:
        stale = sorted(n for n in wanted.keys() | present.keys() if wanted.get(n) != present.get(n))
        print("\n".join(f"stale: {name}" for name in stale), end="\n" if stale else "")
        return 1 if stale else 0
    BAD.mkdir(exist_ok=True)
    for name in present.keys() - wanted.keys():
        (BAD / name).unlink()
    for name, file in wanted.items():
        (BAD / name).write_bytes(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
