"""What several processes of one training agree on, and what they say when the first one fails."""

import json
import multiprocessing
from pathlib import Path

import pytest
import torch
from torch import distributed

from lacewing.converter.errors import ConversionError, OptionError, OutOfReach
from lacewing.converter.training.distributed import Workers, workers

WORLD = 2


def _answers(rank: int, folder: Path) -> None:
    """Run by each process: what ``of_first`` gives it, and what it raises, to ``answer_RANK.json``."""
    store = distributed.FileStore(str(folder / "store"), WORLD)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=WORLD)
    here = Workers(rank, WORLD, torch.device("cpu"))

    def refuse() -> None:
        raise OutOfReach(f"process {rank} cannot")

    answer = {"made": here.of_first(lambda: rank)}
    try:
        here.of_first(refuse)
    except ConversionError as error:
        answer["raised"] = [type(error).__name__, str(error)]
    answer["after"] = here.of_first(lambda: rank + 10)
    (folder / f"answer_{rank}.json").write_text(json.dumps(answer))
    distributed.destroy_process_group()


@pytest.mark.slow
def test_all_processes_get_what_the_first_one_made_or_why_it_could_not(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_answers, args=(rank, tmp_path)) for rank in range(WORLD)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * WORLD
    first, second = (json.loads((tmp_path / f"answer_{rank}.json").read_text()) for rank in range(WORLD))
    assert first == {"made": 0, "raised": ["OutOfReach", "process 0 cannot"], "after": 10}
    told = "the first process failed: process 0 cannot"
    assert second == {"made": 0, "raised": ["ConversionError", told], "after": 10}


@pytest.mark.parametrize("device", ["gpu", "cuda:999", "cpu:x"])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(OptionError, match=f"--device {device}: not a device"):
        workers(device)
