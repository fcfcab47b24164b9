"""One cell: trains, writes the ``.lace`` file, measures it with the engine, keeps the result.

A cell that has a result is not trained again; one that was broken off goes on from its checkpoint.
"""

from __future__ import annotations

import bisect
import copy
import functools
import hashlib
import io
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from accuracy import base
from accuracy.cells import NETWORKS, Cell
from accuracy.channels import narrow
from accuracy.cifar import BUILD, CifarTest, CifarTrain, test_set, train_set
from accuracy.measure import INPUT, of_module, of_session, top1
from accuracy.networks import MobileNetV1, pretrained_resnet
from accuracy.patterns import SingleWeights, TwoOfFour
from lacewing import Session
from lacewing.converter.calibration import open_dataset
from lacewing.converter.convert import quantize_graph
from lacewing.converter.ir import Graph
from lacewing.converter.ir_to_onnx import to_onnx
from lacewing.converter.lowering.lower import lower
from lacewing.converter.options import ConvertOptions
from lacewing.converter.output import write_atomically
from lacewing.converter.passes import run_passes
from lacewing.converter.progress import silent
from lacewing.converter.source import load_graph, load_training_graph
from lacewing.converter.sparsity.budget import LayerBudget, device_profile
from lacewing.converter.sparsity.prices import Prices
from lacewing.converter.training import Recipe
from lacewing.converter.training.distributed import workers
from lacewing.converter.training.finetune import FineTuned, FineTuning
from lacewing.converter.training.loop import Stage, Trainer, measure
from lacewing.converter.training.masks import BlockMasks
from lacewing.converter.training.network import Network
from lacewing.converter.training.quantized import QuantizedNetwork

SHAPE = {INPUT: (1, 3, 32, 32)}
BASE_EPOCHS = 6  # that the published ResNets get on the JPEG copies before anything else
# Fewer where an epoch takes three times as long; the float network of a comparison always gets as many.
EPOCHS = dict(zip(NETWORKS, (20, 10, 20), strict=True))
QUANTIZED_EPOCHS = 1
BATCH = 128
BASE_RATE, RATE, GENTLE_RATE = 1e-3, 4e-3, 2e-3
# The share of the blocks up to which the gentle rate is better: the other undoes more of what a network came with than there is to mend
# (docs/trials.md).
GENTLE_UP_TO = dict(zip(NETWORKS, (0.0, 0.5, 0.3), strict=True))
CALIBRATION = 256  # images
NARROWER = 32  # steps in which channels go until a time is met
EQUAL_IMAGES = 1000  # on which torch and the engine are compared byte for byte
# Of what the converter chooses: to be raised where shares or blocks come out otherwise than before, and where channels do, which go for a time.
REVISION, CHANNEL_REVISION = 1, 1
LITTLE, LITTLE_EPOCHS, LITTLE_RATE = (
    500,
    100,
    5e-4,
)  # images of the little-data cells, and how they are trained

FOLDER = BUILD / "cells"
KINDS = {"single": SingleWeights, "2:4": TwoOfFour}
BLOCK_OF = {"single": "1x4", "2:4": "1x4", "dense": "auto", "float": "auto", "channels": "auto"}


def cross_entropy(outputs: dict[str, Tensor], target: Tensor) -> Tensor:
    """Of the only output."""
    return nn.functional.cross_entropy(next(iter(outputs.values())), target)


def right(outputs: dict[str, Tensor], target: Tensor) -> Tensor:
    """[N]: 1 where the largest logit is the label's."""
    return (next(iter(outputs.values())).argmax(1) == target).float()


def base_module(network: str, device: str) -> nn.Module:
    """The float network that every training of ``network`` starts from, trained where it is not there yet."""
    if network.startswith("mobilenet"):
        return base.mobilenet()
    module = pretrained_resnet(int(network.removeprefix("resnet").partition("_")[0]))
    path = BUILD / "base" / f"{network}.pt"
    graph = load_training_graph(module, SHAPE)
    net = Network(graph)
    if not path.exists():
        recipe = _float_recipe(BASE_EPOCHS)
        stage = Stage("float", net, recipe, BASE_EPOCHS, BASE_RATE, BlockMasks(graph, {}))
        Trainer(train_set(), None, None, workers(device), silent).run(stage, lambda _: None)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save(net.cpu().state_dict(), content)
        write_atomically(path, content.getvalue())
    state = torch.load(path, map_location="cpu", weights_only=True)
    module.load_state_dict(_module_names(state, module))
    return module.eval()


def _module_names(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """The state of a ``Network`` under the names of the torch module it was imported from."""
    renamed = {"scale": "weight", "offset": "bias", "mean": "running_mean", "variance": "running_var"}
    found = {}
    for key, tensor in state.items():
        layer, _, name = key.replace("|", ".").rpartition(":")
        found[f"{layer}.{renamed.get(name, name)}"] = tensor
    # A linear layer on a 1x1 map is imported as the 1x1 convolution that it is.
    return {k: found[k].reshape(v.shape) if k in found else v for k, v in module.state_dict().items()}


def _float_recipe(epochs: int) -> Recipe:
    return Recipe(
        train_set(),
        loss=cross_entropy,
        epochs=epochs,
        quantized_epochs=0,
        batch_size=BATCH,
        learning_rate=BASE_RATE,
        weight_decay=5e-4,
        answers=0,
        features=0,
        precision="bfloat16",
    )


class Unlabelled500:
    """Five hundred training images, augmented as all are, without their labels."""

    def __init__(self, data: CifarTrain) -> None:
        self._data, self._indices = data, range(0, len(data), len(data) // LITTLE)

    def __len__(self) -> int:
        return len(self._indices)

    def batch(self, indices: Sequence[int], generator: torch.Generator) -> tuple[dict[str, Tensor], None]:
        """({"image": float32 [B,3,32,32]}, None)."""
        return self._data.batch([self._indices[i] for i in indices], generator)[0], None


def settings_of(cell: Cell) -> dict[str, Any]:
    """How the cell is trained: what its recipe says beside data, loss and metric."""
    settings = {"epochs": epochs_of(cell), "precision": "bfloat16", "schedule": "one-shot"}
    settings |= {"rearrange": cell.rearrange, "engine": cell.engine}
    if cell.gradual:
        settings |= {"schedule": "cubic", "saliency": "magnitude"}
    settings |= {"watch": False}  # to measure after every epoch takes a seventh of the time
    if cell.data == "500":
        settings |= {"batch_size": 50, "learning_rate": LITTLE_RATE, "reconstruct": LITTLE_EPOCHS // 5}
        return settings | {"quantized_epochs": LITTLE_EPOCHS // 5}
    settings |= {"batch_size": BATCH, "learning_rate": rate_of(cell), "weight_decay": 5e-4}
    settings |= {"quantized_epochs": 0 if cell.method == "float" else QUANTIZED_EPOCHS}
    if cell.method == "channels":
        settings |= {"rearrange": False}  # there are no blocks
    # Inner values teach nothing that labels and answers do not: 82.9 % with and without them, three epochs at 75 %.
    return settings | ({"features": 0} if cell.distill else {"answers": 0, "features": 0})


def recipe_id(cell: Cell) -> str:
    """Which recipe the cell is trained by now, fields that have their default included."""
    if cell.data == "plain":
        return f"plain-{REVISION}"
    recipe = Recipe([], loss=cross_entropy, **settings_of(cell))
    fields = {k: v for k, v in vars(recipe).items() if isinstance(v, (int, float, str))}
    revision = (REVISION, CHANNEL_REVISION) if cell.time and cell.method == "auto" else REVISION
    return hashlib.sha256(repr((revision, sorted(fields.items()))).encode()).hexdigest()[:12]


def recipe_of(cell: Cell, validation: CifarTest) -> Recipe:
    """The cell's settings with the images that it learns from."""
    if cell.data == "500":
        return Recipe(Unlabelled500(train_set()), validation, metric=right, **settings_of(cell))
    return Recipe(train_set(), validation, loss=cross_entropy, metric=right, **settings_of(cell))


def teacher_of(cell: Cell, device: str) -> Path | nn.Module | None:
    """Another network that teaches than the one that the training starts from."""
    if cell.taught:
        return finished(cell, device)
    return base_module(cell.network, device) if cell.method == "channels" else None


def finished(cell: Cell, device: str) -> Path:
    """The finished float network: the first seed's, trained as long as the cell, from its file or made now."""
    like = Cell(cell.network, "float", epochs=cell.epochs)
    path = FOLDER / f"{like.id}.onnx"
    if result_of(like) is None or not path.exists():
        (FOLDER / f"{like.id}.json").unlink(missing_ok=True)
        run(like, device)
    return path


def source_of(cell: Cell, device: str) -> Graph:
    """The raw graph that the cell's training starts from."""
    if cell.data != "full":
        return load_training_graph(pretrained_resnet(20), SHAPE)
    module = base_module(cell.network, device)
    if cell.method != "channels":
        return load_training_graph(module, SHAPE)
    images = train_set().batch(range(CALIBRATION))[0][INPUT]
    if not cell.time:
        return load_training_graph(narrow(module, 1 - cell.sparsity, images), SHAPE)
    return as_fast(module, cell.time, images, cell.profile or None)


def as_fast(module: nn.Module, part: float, images: Tensor, profile: str | None = None) -> Graph:
    """As many channels of ``module`` as take no more than ``part`` of its time, predicted by ``profile``."""
    options = ConvertOptions([], profile=profile)
    allowed = part * predicted_milliseconds(load_training_graph(module, SHAPE), options)

    @functools.cache
    def narrowed(step: int) -> Graph:
        return load_training_graph(narrow(module, 1 - step / NARROWER, images), SHAPE)

    def fast(step: int) -> bool:
        return predicted_milliseconds(narrowed(step), options) <= allowed

    steps = range(1, NARROWER)
    first = bisect.bisect_left(steps, True, key=fast)
    if first == len(steps):
        raise ValueError(f"no share of the channels takes {part:.0%} of the time")
    return narrowed(steps[first])


def options_of(cell: Cell, graph: Graph) -> ConvertOptions:
    """Sparsity or time, block and calibration images."""
    data = train_set()
    picked = range(0, len(data), len(data) // CALIBRATION)
    if cell.data != "full":
        picked = range(0, len(data), len(data) // LITTLE)
    samples = [{INPUT: image[None]} for image in data.batch(list(picked)[:CALIBRATION])[0][INPUT].numpy()]
    sparsity = cell.sparsity if cell.method not in ("float", "dense", "channels") else 0.0
    block = BLOCK_OF.get(cell.method, cell.method)
    options = ConvertOptions(
        samples,
        calibration_count=CALIBRATION,
        sparsity=sparsity,
        block=block,
        seed=cell.seed,
        profile=cell.profile or None,
    )
    if not cell.time or cell.method == "channels":
        return options
    return replace(options, latency=cell.time * predicted_milliseconds(graph, options))


def predicted_milliseconds(graph: Graph, options: ConvertOptions) -> float:
    """What the network is predicted to take as it is."""
    folded = run_passes(copy.deepcopy(graph))
    return Prices(folded, device_profile(options)).whole().nanoseconds / 1e6


def rate_of(cell: Cell) -> float:
    """The peak learning rate of the float stage."""
    gentle = 0 < cell.sparsity <= GENTLE_UP_TO[cell.network] and cell.method != "channels"
    return GENTLE_RATE if gentle else RATE


def epochs_of(cell: Cell) -> int:
    """How long the cell is trained."""
    full = cell.epochs or EPOCHS[cell.network]
    return {"full": full, "500": LITTLE_EPOCHS, "plain": 0}[cell.data]


def result_of(cell: Cell) -> dict[str, Any] | None:
    """The cell's result, if it was trained as it would be now."""
    path = FOLDER / f"{cell.id}.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    return found if found.get("recipe") == recipe_id(cell) else None


def run(cell: Cell, device: str = "cpu") -> dict[str, Any]:
    """The cell's result, from its file or made now."""
    found = result_of(cell)
    if found is not None:
        return found
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = _converted(cell) if cell.data == "plain" else _trained(cell, device)
    result = {"cell": asdict(cell), "recipe": recipe_id(cell), "device": device, **made}
    write_atomically(FOLDER / f"{cell.id}.json", json.dumps(result, indent=1).encode())
    if _checkpoint(cell).exists():
        shutil.rmtree(_checkpoint(cell))
    return result


def _checkpoint(cell: Cell) -> Path:
    return FOLDER / f"{cell.id}-{recipe_id(cell)}"


def _trained(cell: Cell, device: str) -> dict[str, Any]:
    """Goes on from the cell's checkpoint, if it has one."""
    started, test = time.monotonic(), test_set()
    graph = source_of(cell, device)
    recipe, options = recipe_of(cell, test), options_of(cell, graph)
    recipe = replace(recipe, teacher=teacher_of(cell, device))
    kind = KINDS.get(cell.method, FineTuning)
    dataset = open_dataset(options.calibration, {v: graph.shapes[v] for v in graph.inputs})
    tuned = kind(graph, dataset, recipe, options, workers(device), silent, _checkpoint(cell)).run()
    result: dict[str, Any] = {"seconds": round(time.monotonic() - started)}
    if cell.method == "float":
        content = to_onnx(tuned.graph).SerializeToString()
        write_atomically(FOLDER / f"{cell.id}.onnx", content)
        trained = Network(tuned.graph)
        result |= {"top1": 100 * measure(trained, test, recipe, workers("cpu")), "bytes": 0}
    else:
        result |= _with_engine(tuned, FOLDER / f"{cell.id}.lace", test)
    return result | {"start": 100 * tuned.metric["float"], "history": tuned.history}


def _converted(cell: Cell) -> dict[str, Any]:
    """The published network, pruned and quantized without training."""
    started, module = time.monotonic(), pretrained_resnet(20)
    graph = load_graph(module, SHAPE)
    options = options_of(cell, graph)
    dataset = open_dataset(options.calibration, {v: graph.shapes[v] for v in graph.inputs})
    content = quantize_graph(graph, dataset, options).model.to_bytes()
    seconds = round(time.monotonic() - started)
    write_atomically(FOLDER / f"{cell.id}.lace", content)
    test = test_set()
    with Session(content) as session:
        accuracy = top1(of_session(session), test)
    start = top1(of_module(module.eval()), test)
    return {"seconds": seconds, "top1": accuracy, "bytes": len(content), "start": start}


def _with_engine(tuned: FineTuned, path: Path, test: CifarTest) -> dict[str, Any]:
    content = lower(tuned.graph, tuned.plan).to_bytes()
    write_atomically(path, content)
    with Session(content) as session:
        accuracy = top1(of_session(session), test)
        equal = _equal(session, tuned.network, test)
    layers = {name: {"block": str(b.block), "share": round(b.share, 4)} for name, b in tuned.budgets.items()}
    return {
        "top1": accuracy,
        "bytes": len(content),
        "equal_images": equal,
        "sparsity": conv_sparsity(tuned.plan.layers, tuned.budgets),
        "layers": layers,
    }


def conv_sparsity(layers: Mapping[str, Any], budgets: Mapping[str, LayerBudget]) -> float:
    """The share of all convolution weights that are gone, first, depthwise and dense layers included."""
    total = sum(layer.weight.size for layer in layers.values())
    gone = sum(layers[name].weight.size * b.share for name, b in budgets.items())
    return gone / total


def _equal(session: Session, network: QuantizedNetwork, test: CifarTest) -> int:
    """How many of the first images get the same bytes from torch and from the engine."""
    images = test.batch(range(EQUAL_IMAGES))[0][INPUT]
    with torch.no_grad():
        ours = next(iter(network.eval()({INPUT: images}).values())).numpy()
    theirs = of_session(session)(images).numpy()
    return int(np.all(ours.view(np.uint32) == theirs.view(np.uint32), axis=1).sum())


__all__ = ["MobileNetV1", "run"]
