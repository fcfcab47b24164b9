"""Fine-tuning from the command line, in one process and in two."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from training_cases import IN_TWO, Stripes, trained_net

import lacewing
from lacewing.converter.training import unlabelled


@pytest.mark.slow
def test_two_processes_search_and_report_as_one(on_disk, tmp_path):
    """Six trainings one after the other; what the second process would say is not said."""
    command = [*IN_TWO, "-m", "lacewing.cli", "convert", on_disk / "m.onnx", "-o", tmp_path / "m.lace"]
    command += ["--calib", on_disk / "images.npy", "--finetune", on_disk / "recipe.py", "--epochs", 2]
    command += ["--max-drop", 99, "--json", "--report", tmp_path / "r.html"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert len(report["attempts"]) > 2
    assert report["output_bytes"] == (tmp_path / "m.lace").stat().st_size
    assert f"{report['output_bytes']} bytes" in (tmp_path / "r.html").read_text()


def run_cli(*arguments):
    from lacewing.cli import main

    return main([str(a) for a in arguments])


RECIPE = """
import sys
sys.path.insert(0, {folder!r})
import training_cases
def recipe():
    return training_cases.recipe(epochs=2, quantized_epochs=1)
"""


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    """The network as ONNX, calibration samples as .npy, a recipe."""
    folder = tmp_path_factory.mktemp("cli")
    torch.onnx.export(
        trained_net(), (torch.zeros(1, 3, 10, 10),), folder / "m.onnx", dynamo=True, input_names=["image"]
    )
    np.save(folder / "images.npy", Stripes(60, 4).images.numpy())
    (folder / "recipe.py").write_text(RECIPE.format(folder=str(Path(__file__).parent)))
    return folder


@pytest.mark.parametrize("recipe_file", [True, False])
def test_the_command_line_fine_tunes_and_reports(on_disk, tmp_path, capsys, recipe_file):
    told = [on_disk / "recipe.py"] if recipe_file else []
    flags = [
        "--calib",
        on_disk / "images.npy",
        "--sparsity",
        0.5,
        "--epochs",
        2,
        "--checkpoint",
        tmp_path / "kept",
    ]
    flags += ["--report", tmp_path / "r.html", "--json", "--finetune", *told]
    assert run_cli("convert", on_disk / "m.onnx", "-o", tmp_path / "m.lace", *flags) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tuning"]["epochs"] == 2
    assert report["tuning"]["held_out"] == (128 if recipe_file else 12)
    assert report["tuning"]["metric"]["quantized"] > 0.8
    page = (tmp_path / "r.html").read_text()
    assert "Fine-tuning" in page and "Rearrangement" in page
    with lacewing.Session(tmp_path / "m.lace") as session:
        assert session.metadata["fine_tuning"]["epochs"] == 2


def test_training_that_forgets_is_not_what_is_written(on_disk, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(unlabelled, "_FOLDED_RATES", (3.0, 3.0))
    flags = ["--calib", on_disk / "images.npy", "--finetune", "--epochs", 2, "--report", tmp_path / "r.html"]
    assert run_cli("convert", on_disk / "m.onnx", "-o", tmp_path / "m.lace", *flags) == 0
    assert "the file is of before training" in capsys.readouterr().out
    assert "The file is of before training" in (tmp_path / "r.html").read_text()
    plain = ["--calib", on_disk / "images.npy", "-o", tmp_path / "plain.lace"]
    assert run_cli("convert", on_disk / "m.onnx", *plain) == 0
    with lacewing.Session(tmp_path / "m.lace") as kept, lacewing.Session(tmp_path / "plain.lace") as wanted:
        assert "fine_tuning" not in kept.metadata
        images = Stripes(64, 5).images.numpy()
        answers = [
            [int(next(iter(s.run({"image": i[None]}).values())).argmax()) for i in images]
            for s in (kept, wanted)
        ]
    assert np.mean(np.equal(*answers)) > 0.9  # calibrated on the samples that do not judge, and on all


def test_the_command_line_says_what_max_drop_found(on_disk, tmp_path, capsys):
    flags = ["--calib", on_disk / "images.npy", "--max-drop", 5, "--report", tmp_path / "r.html"]
    assert run_cli("convert", on_disk / "m.onnx", "-o", tmp_path / "m.lace", *flags) == 0
    assert "held-out samples" in capsys.readouterr().out
    assert "Search for the sparsity" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    "flags",
    [
        ["--epochs", 3],
        ["--finetune", "absent.py"],
        ["--finetune", "--epochs", 0],
        ["--max-drop", -1],
        ["--max-drop", 1, "--sparsity", 0.5],
    ],
)
def test_flags_that_make_no_sense_are_usage_errors_and_write_nothing(on_disk, tmp_path, capsys, flags):
    told = ["--calib", on_disk / "images.npy", *flags]
    assert run_cli("convert", on_disk / "m.onnx", "-o", tmp_path / "m.lace", *told) == 2
    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in capsys.readouterr().err


def test_max_drop_that_even_the_dense_model_misses_is_an_error(on_disk, tmp_path, capsys, monkeypatch):
    from lacewing.converter import convert as conversion

    monkeypatch.setattr(conversion, "engine_metric", lambda *_: 0.0)
    told = ["--calib", on_disk / "images.npy", "--max-drop", 1]
    assert run_cli("convert", on_disk / "m.onnx", "-o", tmp_path / "m.lace", *told) != 0
    assert "even without sparsity" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
