"""One training in two processes, as torchrun starts them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from training_cases import IN_TWO, Stripes

import lacewing


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{"schedule": "cubic"}, {"schedule": "one-shot", "reconstruct": 1}, {"engine": "nncf"}]
)
def test_two_processes_write_what_they_agree_on_though_each_would_choose_differently(tmp_path, changes):
    status, said, files = in_two(tmp_path, changes)
    assert status == 0, said
    first, second = files
    assert first == second
    with lacewing.Session(tmp_path / "m.lace") as session:
        data = Stripes(128, 3)
        right = [
            int(next(iter(session.run({"image": image[None].numpy()}).values())).argmax()) == int(target)
            for image, target in zip(data.images, data.targets, strict=True)
        ]
    assert np.mean(right) > 0.85


def in_two(folder, changes, *more):
    """The exit status of ``train_in_two.py``, what it says, and the file as each process has it."""
    script = Path(__file__).with_name("train_in_two.py")
    command = [*IN_TWO, script, folder, json.dumps(changes), *more]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300, check=False)
    files = [p.read_bytes() for p in sorted(folder.glob("weights_*"))]
    return done.returncode, done.stderr[-3000:], files


FOUR_EPOCHS = {"schedule": "cubic", "epochs": 4, "quantized_epochs": 2}


@pytest.fixture(scope="module")
def trained_in_two(tmp_path_factory):
    status, said, files = in_two(tmp_path_factory.mktemp("whole"), FOUR_EPOCHS)
    assert status == 0, said
    return files


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 3])
def test_two_processes_that_were_killed_go_on_to_the_same_file(tmp_path, trained_in_two, epoch):
    """In the float stage, while blocks go, and in the quantized one."""
    status, said, files = in_two(tmp_path, FOUR_EPOCHS, epoch)
    assert status != 0 and not files, said
    # Anew from the beginning it would die at its fourth checkpoint.
    status, said, files = in_two(tmp_path, FOUR_EPOCHS, 4)
    assert status == 0, said
    assert files == trained_in_two
