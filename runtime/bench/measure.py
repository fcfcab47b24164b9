"""Latency of several models in interleaved rounds of one process, so that all see the same machine."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from lacewing.bench.peers import Peer, Runner, python
from lacewing.errors import LacewingError

WARM_UP = 3  # runs before the first round
MOST_RUNS = 100_000  # per target, so that a tiny model does not fill the memory with times


@dataclass
class Target:
    """One model with one runtime, and what was measured of it."""

    peer: Peer
    path: Path  # what the user named
    threads: int
    file: Path | None = None  # what is loaded, if the runtime needed another format
    runner: Runner | None = None
    seconds: list[float] = field(default_factory=list)  # [runs]
    probe: dict[str, float] = field(default_factory=dict)  # init_ms, first_ms, peak_bytes

    def loaded(self) -> Path:
        """The file that the runtime reads."""
        return self.file or self.path

    @property
    def file_bytes(self) -> int:
        """Size of the model as the user has it."""
        return self.path.stat().st_size

    def open(self) -> Runner:
        """Loads the model on first use."""
        if self.runner is None:
            self.runner = self.peer.open_model(self.loaded(), self.threads)
        return self.runner

    def percentile(self, share: float) -> float:
        """Milliseconds that ``share`` of the runs took at most."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3

    def median(self) -> float:
        """Milliseconds."""
        return statistics.median(self.seconds) * 1e3

    def least(self) -> float:
        """Milliseconds."""
        return min(self.seconds) * 1e3


def probe(target: Target) -> None:
    """Fills ``target.probe`` in a fresh process. Raises ``LacewingError`` if that fails."""
    command = [
        python(),
        "-m",
        "lacewing.bench.probe",
        target.peer.name,
        str(target.loaded()),
        str(target.threads),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    try:
        result = json.loads(lines[-1]) if lines else {"error": done.stderr.strip()[-300:]}
    except ValueError:
        result = {"error": (done.stderr or done.stdout).strip()[-300:]}
    if "error" in result or done.returncode:
        raise LacewingError(
            f"{target.path} with {target.peer.name}: {result.get('error', 'the process failed')}"
        )
    target.probe = {key: float(value) for key, value in result.items()}


def interleave(targets: list[Target], rounds: int, seconds: float) -> None:
    """Fills ``target.seconds``: every round gives every target its share of ``seconds``, in turning order."""
    for target in targets:
        runner = target.open()
        for _ in range(WARM_UP):
            runner.run()
    for number in range(rounds):
        turn = number % len(targets)
        for target in targets[turn:] + targets[:turn]:
            _slice(target, seconds / rounds)


def _slice(target: Target, seconds: float) -> None:
    runner = target.open()
    runner.run()  # the previous target has filled the caches with its own data
    end = time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        runner.run()
        stop = time.perf_counter()
        target.seconds.append(stop - start)
        if stop >= end or len(target.seconds) >= MOST_RUNS:
            return
