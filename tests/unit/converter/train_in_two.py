"""Run by torchrun: fine-tunes the small network in several processes; each writes the file it would have written."""

import sys
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
told = options(finetune=recipe(), input_shapes={"image": (1, 3, 10, 10)})
convert(trained_net(), folder / "m.lace", told)
distributed.destroy_process_group()
