"""A network's way out of torch and its accuracy: as a module or in the engine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from accuracy.cifar import SIZE, CifarTest
from lacewing import Session

INPUT, OUTPUT = "image", "logits"
OPSET = 20
BATCH = 250  # images that a module sees at once

Logits = Callable[[torch.Tensor], torch.Tensor]  # float32 [N,3,H,W] -> [N,classes]


def export_onnx(module: nn.Module, path: Path) -> Path:
    """Writes the module as it infers: "image" float32 [1,3,32,32] to "logits" [1,10]."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    training = module.training
    module.eval()
    image = torch.zeros(1, 3, SIZE, SIZE)
    names = {"input_names": [INPUT], "output_names": [OUTPUT]}
    torch.onnx.export(module, (image,), path, dynamo=True, opset_version=OPSET, verbose=False, **names)
    module.train(training)
    return path


def of_session(session: Session) -> Logits:
    """The engine as a function of a batch, one image a run, for networks of one input and one output."""
    (image_input,) = session.inputs

    def run(images: torch.Tensor) -> torch.Tensor:
        rows = [next(iter(session.run({image_input.name: image[None]}).values())) for image in images.numpy()]
        return torch.from_numpy(np.concatenate(rows))

    return run


def of_module(module: nn.Module) -> Logits:
    """A module as it infers, without gradients."""

    def run(images: torch.Tensor) -> torch.Tensor:
        training = module.training
        module.eval()
        with torch.inference_mode():
            logits: torch.Tensor = module(images.contiguous(memory_format=torch.channels_last))
        module.train(training)
        return logits

    return run


def top1(run: Logits, test: CifarTest) -> float:
    """The share of test images whose largest logit is their label's, in percent."""
    right = 0
    for start in range(0, len(test), BATCH):
        inputs, labels = test.batch(range(start, min(start + BATCH, len(test))))
        right += int((run(inputs[INPUT]).argmax(1) == labels).sum())
    return 100 * right / len(test)
