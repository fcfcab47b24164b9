"""Benchmarks measure what they say: every metric, every runtime asked for, interleaved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lacewing import cli
from lacewing.bench import measure, peers
from lacewing.bench.measure import Target, interleave
from lacewing.bench.peers import LACEWING, PEERS, Peer
from lacewing.commands.bench import choose
from lacewing.errors import LacewingError, MissingDependencyError
from lacewing.exit_codes import ExitCode

ROW = {"model", "target", "runtime", "dtype", "sparsity", "block", "threads", "metric"} | {
    "median",
    "min",
    "p90",
    "runs",
    "versions",
}
FAST = ["--rounds", "2", "--seconds", "0.05"]


def test_rows_have_every_metric(classifier_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", str(classifier_path), "--json", *FAST]) == ExitCode.OK
    rows = json.loads(capsys.readouterr().out)
    assert all(set(row) == ROW for row in rows)
    by_metric = {row["metric"]: row for row in rows}
    assert set(by_metric) == {"latency_ms", "init_ms", "first_ms", "peak_bytes", "bytes"}
    latency = by_metric["latency_ms"]
    assert 0 < latency["min"] <= latency["median"] <= latency["p90"] and latency["runs"] >= 2
    assert by_metric["bytes"]["median"] == classifier_path.stat().st_size
    assert latency["block"] == "1x4+2x4+4x4+8x4" and 0.1 < latency["sparsity"] < 0.9


def test_text_and_layers(classifier_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", str(classifier_path), "--layers", *FAST]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "median ms" in out and "softmax16" in out and "peak" in out


class _Counter:
    dtype, target = "int8", "test"

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name

    def run(self) -> None:
        self.log.append(self.name)


def test_rounds_interleave_and_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    targets = [Target(LACEWING, Path(name), 1, runner=_Counter(log, name)) for name in "ab"]
    monkeypatch.setattr(measure, "WARM_UP", 0)
    interleave(targets, rounds=2, seconds=0.0)
    assert log == ["a", "a", "b", "b", "b", "b", "a", "a"], "one untimed and one timed run per turn"
    assert [len(target.seconds) for target in targets] == [2, 2]


def test_percentiles() -> None:
    target = Target(LACEWING, Path("m"), 1, seconds=[0.005, 0.001, 0.002, 0.003, 0.004])
    assert (target.least(), target.median(), target.percentile(0.9)) == (1.0, 3.0, 5.0)


def test_a_peer_asked_for_and_missing_names_the_package(
    classifier_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ghost = Peer("ghost", "ghost-runtime", "no_such_module_here", (".lace",))
    with pytest.raises(MissingDependencyError, match="pip install ghost-runtime"):
        ghost.load()
    monkeypatch.setitem(peers.PEERS, "ghost", ghost)
    assert cli.main(["bench", str(classifier_path), "--peers", "ghost", *FAST]) == ExitCode.USAGE
    assert "pip install ghost-runtime" in capsys.readouterr().err
    assert [t.peer.name for t in choose([classifier_path], None, 1)] == ["lacewing"], (
        "not installed, not asked for"
    )


def test_a_failing_probe_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "m.lace"
    path.write_bytes(b"no model")
    with pytest.raises(LacewingError, match="truncated"):
        measure.probe(Target(LACEWING, path, 1))


@pytest.mark.parametrize("name", [name for name, peer in PEERS.items() if peer.installed()])
@pytest.mark.parametrize("suffix", [".onnx", ".tflite", ".mnn"])
def test_peers_refuse_garbage_with_a_typed_error(name: str, suffix: str, tmp_path: Path) -> None:
    if suffix not in PEERS[name].suffixes:
        assert choose_fails(tmp_path / f"m{suffix}", name)
        return
    path = tmp_path / f"m{suffix}"
    path.write_bytes(b"this is not a model" * 10)
    with pytest.raises(LacewingError):
        measure.probe(Target(PEERS[name], path, 1))


def choose_fails(path: Path, peer: str) -> bool:
    """Whether bench refuses to run this file with that peer."""
    try:
        choose([path], peer, 1)
    except LacewingError:
        return True
    return False


def test_what_libraries_print_stays_off_stdout() -> None:
    code = (
        "import ctypes, os\n"
        "from lacewing.commands.output import quiet_stdout\n"
        "with quiet_stdout():\n"
        "    ctypes.CDLL(None).printf(b'of a C library')\n"
        "    os.write(1, b'noise ')\n"
        "    print('more noise')\n"
        "print('result')\n"
    )
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=buffered
    )
    assert (done.stdout, done.stderr) == ("result\n", "noise more noise\nof a C library")


def test_a_converted_file_is_what_is_loaded_and_probed(classifier_path: Path, tmp_path: Path) -> None:
    target = Target(LACEWING, tmp_path / "named.onnx", 1, file=classifier_path)
    measure.probe(target)
    assert set(target.probe) == {"init_ms", "first_ms", "peak_bytes"}
    assert LACEWING.prepare(classifier_path, tmp_path) == classifier_path
