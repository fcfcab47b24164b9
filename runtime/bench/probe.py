"""One model in a process of its own: time to load, time of the first run, peak memory.

``python -m lacewing.bench.probe PEER PATH THREADS`` prints one JSON object. The runtime is imported before anything
is measured: an application imports it once, however many models it loads.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from lacewing.bench.peers import LACEWING, PEERS
from lacewing.errors import LacewingError

RUNS = 3  # after the first: buffers that appear late count, too


def measure(peer_name: str, path: Path, threads: int) -> dict[str, float]:
    """init_ms, first_ms and peak_bytes: the growth of this process's memory at its peak."""
    peer = LACEWING if peer_name == LACEWING.name else PEERS[peer_name]
    peer.load()
    before = _reset_peak()
    start = time.perf_counter()
    runner = peer.open_model(path, threads)
    loaded = time.perf_counter()
    runner.run()
    first = time.perf_counter()
    for _ in range(RUNS):
        runner.run()
    peak = max(0, _peak() - before)
    return {"init_ms": (loaded - start) * 1e3, "first_ms": (first - loaded) * 1e3, "peak_bytes": peak}


def _reset_peak() -> int:
    """Bytes resident now; where the system can, the peak starts again from here."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return _peak()
    return _status("VmRSS")


def _peak() -> int:
    found = _status("VmHWM")
    if found:
        return found
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(key: str) -> int:
    """Bytes of a line of /proc/self/status; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":")), 0)


def main() -> int:
    """Prints the measurement, or the error as JSON with exit code 1."""
    name, path, threads = sys.argv[1:4]
    try:
        result: dict[str, float | str] = {**measure(name, Path(path), int(threads))}
    except LacewingError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
