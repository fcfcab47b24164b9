"""Makes what the demo page shows: models, their list, photos and sample digits, into one folder.

The digits network is trained here on data that ships with scikit-learn. The face detector and MobileNet-v2 are
converted from ../shared/data where that is present; where not, models.json says so and the page repeats it.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from PIL import Image

from lacewing.converter.convert import convert
from lacewing.converter.demo import digits
from lacewing.converter.options import ConvertOptions
from lacewing.converter.source import Source
from lacewing.converter.training import Recipe
from lacewing.session import Session

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
CALIBRATION_PHOTOS = 64
DIGITS_EPOCHS = 3
# Photos to try, with what a reader who cannot see them is told.
FACES = {
    "face.jpg": "Four people side by side",
    "grace_hopper.bmp": "Grace Hopper in uniform",
    "cat.bmp": "A cat, nobody else",
}
OBJECTS = {
    "parrot.jpg": "A macaw",
    "cat.bmp": "A cat",
    "hot_dog.jpg": "A hot dog",
    "bird.bmp": "A small bird",
    "sunflower.bmp": "A sunflower",
}

Task = dict[str, Any]  # TaskModels in src/models.ts


def faces(folder: Path) -> Task:
    """The ultra-light RFB detector: [1,3,240,320], whole photos squeezed to that, (x - 127) / 128."""
    source = DATA / "ultralight_face" / "version-RFB-320_simplified.onnx"
    photos = calibration_photos()
    samples = [{"input": squeezed(path, 320, 240)} for path in photos]
    return {
        "models": variants(folder, "faces", source, samples, 0.4),
        "note": "Ultra-Light-Fast face detector (MIT). Two of five weight blocks pruned in one shot, without training.",
        "photos": shrunk(folder, FACES),
    }


def objects(folder: Path) -> Task:
    """MobileNet-v2 1.0/224 and its thousand names."""
    source = DATA / "mobilenet_imagenet" / "float" / "mobilenet_v2_1.0_224_float.onnx"
    names = (DATA / "mobilenet_imagenet" / "imagenet_labels_1001.txt").read_text().splitlines()
    (folder / "classes.json").write_text(json.dumps([name.split(",")[0] for name in names[1:1001]]))
    model = onnx.load(source)
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    fixed = folder / "mobilenet_v2.onnx"
    onnx.save(model, fixed)
    samples = [{"input": cropped(path)} for path in calibration_photos()]
    task = {
        "models": variants(folder, "objects", fixed, samples, 0.2),
        "denseFirst": True,
        "note": "MobileNet-v2 (Apache-2.0). Its sparse file is pruned in one shot, without the training "
        "that would win the accuracy back: expect wrong answers that the dense one gets right.",
        "photos": shrunk(folder, OBJECTS),
    }
    fixed.unlink()
    return task


def digits_task(folder: Path) -> Task:
    """A small MobileNet for hand-written digits, trained here."""
    data = digits.load()
    source = folder / "digits.onnx"
    network = digits.train(data, source, lambda stage, share: None, epochs=DIGITS_EPOCHS)
    samples = [{"image": image[None]} for image in data.train_images[:256]]
    models = [
        variant(folder, "digits", source, samples, 0.0),
        variant(folder, "digits", network, samples, 0.75, digits.recipe(data)),
    ]
    source.unlink()
    Path(f"{source}.data").unlink(missing_ok=True)
    examples = [
        ((data.test_images[np.flatnonzero(data.test_labels == label)[0], 0, ::4, ::4] + 1) * 8)
        for label in range(10)
    ]
    return {
        "models": [m | {"accuracy": accuracy(folder / m["file"], data)} for m in models],
        "note": "A small MobileNet trained by this page's build on the UCI digits (8x8 pixels) of scikit-learn, "
        "the sparse file fine-tuned.",
        "examples": [np.rint(example).astype(int).ravel().tolist() for example in examples],
    }


def variants(
    folder: Path, name: str, source: Path, samples: list[dict[str, Any]], sparsity: float
) -> list[dict[str, Any]]:
    """The network dense and sparse."""
    return [variant(folder, name, source, samples, share) for share in (0.0, sparsity)]


def variant(
    folder: Path,
    name: str,
    source: Source,
    samples: list[dict[str, Any]],
    sparsity: float,
    recipe: Recipe | bool = False,
) -> dict[str, Any]:
    """Converts the network, fine-tuned where there is a recipe: {file, sparsity, bytes, macs, kept}."""
    file = folder / f"{name}_{round(100 * sparsity)}.lace"
    options = ConvertOptions(
        samples,
        calibration_count=len(samples),
        sparsity=sparsity,
        block="2x4",
        finetune=recipe,
        input_shapes={key: array.shape for key, array in samples[0].items()},
    )
    convert(source, file, options)
    layers = Session(file).layers
    return {
        "file": file.name,
        "sparsity": sparsity,
        "bytes": file.stat().st_size,
        "macs": sum(layer.macs for layer in layers),
        "kept": sum(layer.kept_macs for layer in layers),
    }


def accuracy(path: Path, data: digits.Digits) -> float:
    """Share of the held-out digits that the file gets right."""
    session = Session(path)
    logits = [next(iter(session.run({"image": image[None]}).values())) for image in data.test_images]
    answers = [int(values.argmax()) for values in logits]
    return float(np.mean(np.asarray(answers) == data.test_labels))


def calibration_photos() -> list[Path]:
    """Evenly spread over the sample."""
    photos = sorted((DATA / "imagenet_sample_500" / "images").glob("*.jpg"))
    return photos[:: max(1, len(photos) // CALIBRATION_PHOTOS)][:CALIBRATION_PHOTOS]


def squeezed(path: Path, width: int, height: int) -> npt.NDArray[np.float32]:
    """The whole photo as float32 [1,3,height,width] for the face detector."""
    with Image.open(path) as image:
        pixels = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    return (np.asarray(pixels, np.float32).transpose(2, 0, 1)[None] - 127) / 128


def cropped(path: Path) -> npt.NDArray[np.float32]:
    """The photo's centre as float32 [1,3,224,224] in -1..1."""
    with Image.open(path) as image:
        pixels = image.convert("RGB")
    scale = 256 / min(pixels.size)
    pixels = pixels.resize((round(pixels.width * scale), round(pixels.height * scale)))
    left, top = (pixels.width - 224) // 2, (pixels.height - 224) // 2
    crop = pixels.crop((left, top, left + 224, top + 224))
    return np.asarray(crop, np.float32).transpose(2, 0, 1)[None] / 127.5 - 1


def shrunk(folder: Path, photos: dict[str, str]) -> list[dict[str, str]]:
    """Photos as JPEGs of at most 800 pixels: [{file, alt}]."""
    found = []
    for name, alt in photos.items():
        with Image.open(DATA / "test_photos" / name) as image:
            picture = image.convert("RGB")
        picture.thumbnail((800, 800))
        file = f"{Path(name).stem}.jpg"
        picture.save(folder / file, quality=85)
        found.append({"file": file, "alt": alt})
    return found


TASKS: dict[str, Callable[[Path], Task]] = {"faces": faces, "objects": objects, "digits": digits_task}


def main() -> None:
    """Makes the tasks asked for; what lacks its data is listed with the reason."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tasks", default=",".join(TASKS))
    args = parser.parse_args()
    logging.disable(logging.WARNING)  # torch's exporter warns about what nobody can change here
    warnings.simplefilter("ignore")
    shutil.rmtree(args.output, ignore_errors=True)
    args.output.mkdir(parents=True)
    found: dict[str, Task] = {}
    for name in args.tasks.split(","):
        if name != "digits" and not DATA.is_dir():
            found[name] = {"missing": "its files were not there when this page was built"}
        else:
            found[name] = partial(TASKS[name], args.output)()
    (args.output / "models.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
