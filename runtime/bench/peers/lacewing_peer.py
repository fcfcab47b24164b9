"""Lacewing itself, through the same Python interface that its users have."""

from __future__ import annotations

from pathlib import Path

from lacewing.bench.peers.common import architecture, random_array
from lacewing.session import Session


class LacewingRunner:
    """A session with random inputs."""

    dtype = "int8"

    def __init__(self, path: Path, threads: int) -> None:
        self.session = Session(path, threads=threads)
        self.inputs = {t.name: random_array(t.shape, t.dtype) for t in self.session.inputs}
        self.target = f"{architecture()}-{self.session.tier}"

    def run(self) -> None:
        """One inference."""
        self.session.run(self.inputs)


def open_model(path: Path, threads: int) -> LacewingRunner:
    """A .lace file."""
    return LacewingRunner(path, threads)
