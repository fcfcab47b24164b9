"""The command line: outputs, JSON, exit codes, and no traceback for a user's mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import two_inputs

from lacewing import cli
from lacewing.commands import Command, doctor, inspect
from lacewing.errors import LimitError
from lacewing.exit_codes import ExitCode
from lacewing.format import Model
from lacewing.library import available_tiers
from lacewing.selftest import run as selftest_run

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def broken_path(classifier_path: Path, tmp_path: Path) -> Path:
    """A file with one changed byte."""
    file = bytearray(classifier_path.read_bytes())
    file[-100] ^= 1
    path = tmp_path / "broken.lace"
    path.write_bytes(file)
    return path


def test_verify(classifier_path: Path, broken_path: Path, capsys: Captured) -> None:
    assert cli.main(["verify", str(classifier_path)]) == ExitCode.OK
    assert capsys.readouterr().out == f"{classifier_path}: valid\n"
    assert cli.main(["verify", str(broken_path)]) == ExitCode.BAD_MODEL
    assert "checksum" in capsys.readouterr().err
    assert cli.main(["verify", "--json", str(broken_path)]) == ExitCode.BAD_MODEL
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["valid"] is False and verdict["error"]["name"] == "checksum"
    assert cli.main(["verify", "--json", str(classifier_path)]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["valid"] is True


def test_inspect_json_adds_up(detector_path: Path, capsys: Captured) -> None:
    assert cli.main(["inspect", "--json", str(detector_path)]) == ExitCode.OK
    report = json.loads(capsys.readouterr().out)
    model = Model.from_bytes(detector_path.read_bytes())
    assert [layer["kind"] for layer in report["layers"]] == [op.kind for op in model.ops]
    assert report["macs"] == sum(layer["macs"] for layer in report["layers"])
    assert report["file_bytes"] == detector_path.stat().st_size
    first = report["layers"][1]
    assert (first["block"], first["output_shape"]) == ("2x4", [1, 14, 29, 29])
    assert 0.5 < first["sparsity"] < 0.9
    assert first["kept_macs"] / first["macs"] == pytest.approx(1 - first["sparsity"], abs=0.05)


def test_inspect_table_and_page(detector_path: Path, tmp_path: Path, capsys: Captured) -> None:
    page = tmp_path / "page.html"
    assert cli.main(["inspect", str(detector_path), "--html", str(page)]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "conv1" in out and "1x14x29x29" in out and "2x4" in out
    text = page.read_text(encoding="utf-8")
    assert "conv1" in text and "<script" not in text and "http" not in text
    assert [child.name for child in tmp_path.iterdir()] == ["page.html"]


def test_the_page_escapes_names(tmp_path: Path) -> None:
    model = two_inputs()
    model.ops[0].name = "<script>alert(1)</script>&"
    path, page = tmp_path / "m.lace", tmp_path / "p.html"
    path.write_bytes(model.to_bytes())
    assert cli.main(["inspect", str(path), "--html", str(page)]) == ExitCode.OK
    tags: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(page.read_text(encoding="utf-8"))
    assert "table" in tags and "script" not in tags


def test_trace_writes_a_file(classifier_path: Path, tmp_path: Path, capsys: Captured) -> None:
    output = tmp_path / "t.json"
    assert (
        cli.main(["trace", str(classifier_path), "-o", str(output), "--runs", "2", "--json"]) == ExitCode.OK
    )
    assert json.loads(capsys.readouterr().out)["events"] == len(json.loads(output.read_text())["traceEvents"])


def test_doctor(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LACEWING_TIER", raising=False)
    assert cli.main(["doctor", "--json"]) == ExitCode.OK
    report = json.loads(capsys.readouterr().out)
    assert report["tier"] == report["best_tier"] == available_tiers()[-1]
    assert report["threads"] >= 1 and report["packages"]["numpy"]
    assert sum(capacity > 0 for capacity in report["core_capacities"]) >= report["auto_threads"]
    assert not set(report["missing_tiers"]) & set(report["tiers"])
    monkeypatch.setenv("LACEWING_TIER", "scalar")
    assert cli.main(["doctor"]) == ExitCode.OK
    assert "LACEWING_TIER in the environment" in capsys.readouterr().out
    monkeypatch.setenv("LACEWING_TIER", "warp")
    assert cli.main(["doctor"]) == ExitCode.CHECK_FAILED
    assert "no such tier" in capsys.readouterr().out


def test_doctor_says_why_a_tier_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    monkeypatch.setattr(doctor, "_cpu_field", lambda key: "fp asimd asimddp" if key == "Features" else "")
    report = doctor.examine()
    assert report["cpu_features"] == ["asimd", "asimddp"]
    reasons = {
        "neon": "not in this build",
        "dotprod": "not in this build",
        "i8mm": "the processor lacks i8mm",
    }
    assert report["missing_tiers"] == reasons


def test_selftest_passes_and_can_fail(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(["selftest"]) == ExitCode.OK
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith("lacewing 0.1.0 selftest ok") and "MISMATCH" not in out
    wrong = {name: "0" * 64 for name in selftest_run.expected()}
    monkeypatch.setattr(selftest_run, "expected", lambda: wrong)
    assert cli.main(["selftest", "--json"]) == ExitCode.CHECK_FAILED
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_selftest_leaves_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LACEWING_TIER", "scalar")
    assert cli.main(["selftest", "--json"]) == ExitCode.OK
    assert os.environ["LACEWING_TIER"] == "scalar"


MISTAKES: dict[str, tuple[list[str], ExitCode, str]] = {
    "no command": ([], ExitCode.USAGE, "COMMAND"),
    "unknown option": (["verify", "--quick", "m"], ExitCode.USAGE, "--quick"),
    "no such file": (["inspect", "/nowhere/m.lace"], ExitCode.BAD_MODEL, "no such file"),
    "trace of nothing": (["trace", "{model}", "-o", "/nowhere/t.json"], ExitCode.OUTPUT, "cannot be written"),
    "trace without runs": (["trace", "{model}", "-o", "t", "--runs", "0"], ExitCode.USAGE, "--runs 0"),
    "page into nothing": (
        ["inspect", "{model}", "--html", "/nowhere/p"],
        ExitCode.OUTPUT,
        "cannot be written",
    ),
    "thread word": (["trace", "{model}", "-o", "t", "--threads", "few"], ExitCode.USAGE, "--threads few"),
    "thread number": (
        ["trace", "{model}", "-o", "t", "--threads", "999"],
        ExitCode.BAD_INPUT,
        "threads is 999",
    ),
    "no such peer": (["bench", "{model}", "--peers", "tensorrt"], ExitCode.USAGE, "no peer 'tensorrt'"),
    "peer without a model": (
        ["bench", "{model}", "--peers", "litert"],
        ExitCode.USAGE,
        "litert reads .tflite",
    ),
    "bench of a strange file": (["bench", "m.gguf"], ExitCode.USAGE, "no runtime for .gguf"),
    "bench without rounds": (["bench", "{model}", "--rounds", "0"], ExitCode.USAGE, "--rounds"),
    "bench without time": (["bench", "{model}", "--seconds", "nan"], ExitCode.USAGE, "--seconds"),
    "bench of a missing file": (["bench", "/nowhere/m.lace"], ExitCode.BAD_MODEL, "no such file"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_get_a_line_and_a_code(case: str, classifier_path: Path, capsys: Captured) -> None:
    arguments, code, message = MISTAKES[case]
    line = [argument.format(model=classifier_path) for argument in arguments]
    assert cli.main(line) == code
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err


def test_errors_are_json_too_when_asked(capsys: Captured) -> None:
    assert cli.main(["inspect", "--json", "/nowhere/m.lace"]) == ExitCode.BAD_MODEL
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert error["type"] == "ModelNotFoundError" and error["exit_code"] == 3
    assert "no such file" in captured.err


def test_debug_shows_the_traceback(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LACEWING_DEBUG", "1")
    cli.main(["inspect", "/nowhere/m.lace"])
    assert "Traceback" in capsys.readouterr().err


def _entry(name: str, load: object) -> SimpleNamespace:
    return SimpleNamespace(name=name, load=load)


def test_commands_of_other_packages_join(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(args: object) -> int:
        raise LimitError("too big", 2, 1)

    commands = [
        ("greet", "says hello", lambda parser: None, lambda args: 0),
        Command("heavy", "x", lambda p: None, refuse),
    ]
    monkeypatch.setattr(cli, "entry_points", lambda group: [_entry("other", lambda: commands)])
    assert cli.main(["greet"]) == ExitCode.OK
    assert cli.main(["heavy"]) == ExitCode.LIMIT
    assert cli.main(["--help"]) == ExitCode.OK
    assert "says hello" in capsys.readouterr().out


def test_commands_of_a_missing_extra_name_the_pip_command(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load() -> object:
        raise ModuleNotFoundError("No module named 'onnx'", name="onnx")

    monkeypatch.setattr(cli, "entry_points", lambda group: [_entry("converter", load)])
    assert cli.main(["convert", "m.onnx"]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert 'pip install "lacewing[convert]"' in err and "onnx" in err
    assert cli.main(["--help"]) == ExitCode.OK


def test_interrupts_have_their_own_code(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(args: object) -> int:
        raise KeyboardInterrupt

    commands = [Command("wait", "waits", lambda parser: None, interrupt)]
    monkeypatch.setattr(cli, "entry_points", lambda group: [_entry("other", lambda: commands)])
    assert cli.main(["wait"]) == ExitCode.INTERRUPTED


def test_a_closed_pipe_is_no_crash(classifier_path: Path) -> None:
    command = (
        f"{sys.executable} -m lacewing inspect --json {classifier_path} | head -c 1; echo ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_version_and_module_entry() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lacewing", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "lacewing 0.1.0\n"


def _exporter(load: object) -> object:
    return lambda group, name: [_entry("onnx", load)]


def test_inspect_calls_the_exporter_that_is_registered(
    classifier_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[bytes, Path]] = []
    monkeypatch.setattr(
        inspect, "entry_points", _exporter(lambda: lambda file, path: written.append((file, path)))
    )
    twin = tmp_path / "twin.onnx"
    assert cli.main(["inspect", str(classifier_path), "--onnx", str(twin)]) == ExitCode.OK
    assert written == [(classifier_path.read_bytes(), twin)]


def test_an_exporter_without_its_packages_names_the_pip_command(
    classifier_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def load() -> object:
        raise ModuleNotFoundError("No module named 'onnx'", name="onnx")

    monkeypatch.setattr(inspect, "entry_points", _exporter(load))
    assert cli.main(["inspect", str(classifier_path), "--onnx", "twin.onnx"]) == ExitCode.USAGE
    assert 'pip install "lacewing[convert]"' in capsys.readouterr().err


def test_an_engine_that_cannot_be_loaded_is_no_traceback(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(args: object) -> int:
        raise ImportError("undefined symbol: lw_run", name="_engine")

    command = Command("go", "goes", lambda parser: None, fail)
    monkeypatch.setattr(cli, "entry_points", lambda group: [_entry("other", lambda: command)])
    assert cli.main(["go"]) == ExitCode.USAGE
    assert "lacewing doctor" in capsys.readouterr().err
