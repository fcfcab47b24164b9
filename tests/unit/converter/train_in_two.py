"""Run by torchrun with a folder, a recipe's fields and, if any, after which checkpoint to die: fine-tunes the small network in
several processes; each writes the file it would have written.

Alone, every process would choose other blocks and scales than the rest, for it calibrates with samples of its own.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import distributed

sys.path.insert(0, str(Path(__file__).parent))
from training_cases import options, recipe, trained_net

from lacewing.converter import convert as conversion
from lacewing.converter.convert import convert
from lacewing.converter.training.checkpoint import Checkpoints

folder = Path(sys.argv[1])
torch.set_num_threads(1)
distributed.init_process_group("gloo")
made = conversion.fine_tune


def kept(*arguments):
    result = made(*arguments)
    (folder / f"weights_{distributed.get_rank()}").write_bytes(result.model.to_bytes())
    return result


def dying(self, state):
    global left
    save(self, state)
    left -= 1
    if not left:
        os._exit(1)


conversion.fine_tune = kept
if len(sys.argv) > 3:
    left, save = int(sys.argv[3]), Checkpoints.save
    Checkpoints.save = dying
told = options(finetune=recipe(**json.loads(sys.argv[2])), input_shapes={"image": (1, 3, 10, 10)})
told = replace(told, checkpoint=folder / "kept")
rank, world = distributed.get_rank(), distributed.get_world_size()
convert(trained_net(), folder / "m.lace", replace(told, calibration=told.calibration[rank::world]))
distributed.destroy_process_group()
