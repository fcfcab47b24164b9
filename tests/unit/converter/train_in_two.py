"""Run by torchrun: fine-tunes the small network in several processes; each writes the file it would have written.

Alone, every process would choose other blocks and scales than the rest, for it calibrates with samples of its own.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import distributed

sys.path.insert(0, str(Path(__file__).parent))
from training_cases import options, recipe, trained_net

from lacewing.converter import convert as conversion
from lacewing.converter.convert import convert

folder = Path(sys.argv[1])
torch.set_num_threads(1)
distributed.init_process_group("gloo")
made = conversion.fine_tune


def kept(*arguments):
    result = made(*arguments)
    (folder / f"weights_{distributed.get_rank()}").write_bytes(result.model.to_bytes())
    return result


conversion.fine_tune = kept
told = options(finetune=recipe(**json.loads(sys.argv[2])), input_shapes={"image": (1, 3, 10, 10)})
rank, world = distributed.get_rank(), distributed.get_world_size()
convert(trained_net(), folder / "m.lace", replace(told, calibration=told.calibration[rank::world]))
distributed.destroy_process_group()
