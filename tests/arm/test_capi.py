"""The C interface for apps: what the libraries need, and the example against Python's answer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lacewing
from lacewing.converter.calibration import Preprocessing
from lacewing.format import Model
from tests.arm import board, networks
from tests.arm.board import PROCESSORS
from tests.models import Builder

CAPI = board.ROOT / "build/capi"
MEMORY = {"memcpy", "memset"}
NEEDED = {  # beside memory functions: who to ask what the processor has; on Android the compiler's atomic exchange
    "aarch64-linux": {"getauxval"},
    "aarch64-android": {"getauxval", "__aarch64_swp1_acq"},
    "aarch64-ios": {"sysctlbyname", "bzero"},
    "aarch64-macos": {"sysctlbyname", "bzero"},
}


@pytest.mark.parametrize("platform", NEEDED)
def test_a_library_needs_memory_functions_and_one_question(platform: str) -> None:
    library = CAPI / platform / "lacewing/lib/liblacewing.a"
    listing = subprocess.run(["llvm-nm-19", library], check=True, capture_output=True, text=True).stdout
    symbols = re.findall(r"^[0-9a-f ]{16} (\w) (\w+)$", listing, re.MULTILINE)
    underscore = (
        len("_") if platform in ("aarch64-ios", "aarch64-macos") else 0
    )  # Apple's names begin with one
    missing = {name[underscore:] for kind, name in symbols if kind == "U"}
    defined = {name[underscore:] for kind, name in symbols if kind not in "U"}
    assert {"lw_verify", "lw_run", "lw_model_metadata", "lw_gemm_sparse_4x4__dotprod"} <= defined
    assert missing - defined - MEMORY == NEEDED[platform]
    assert "memcpy" in missing


@pytest.fixture(scope="module")
def classify(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, built with nothing but the archive and the command that it names."""
    folder = tmp_path_factory.mktemp("capi")
    (archive,) = (board.ROOT / "dist").glob("lacewing-*-capi-aarch64-linux.tar.gz")
    subprocess.run(["tar", "xzf", archive, "-C", folder], check=True)
    source = (folder / "lacewing/examples/classify.c").read_text(encoding="utf-8")
    command = re.search(r"^//   cc (.*)$", source, re.MULTILINE)
    assert command is not None
    compiler = f"{sys.executable} -m ziglang cc -target aarch64-linux-gnu.2.17"
    subprocess.run(f"{compiler} {command[1]} -o classify", shell=True, cwd=folder / "lacewing", check=True)
    return folder / "lacewing/classify"


def best(model: Path, photo: Path, preprocessing: Preprocessing) -> str:
    """What the example should print, in Python."""
    with lacewing.Session(model) as session:
        (info,), (output,) = session.inputs, session.outputs
        scores = session.run({info.name: preprocessing.load(photo, info.shape)})[output.name].reshape(-1)
    order = np.argsort(-scores, kind="stable")[:5]
    lines = [f"{rank}. class {i}, score {scores[i]:.6f}\n" for rank, i in enumerate(order, start=1)]
    return "".join(lines)


@pytest.mark.parametrize("size", [(97, 61), (40, 200), (46, 37)], ids=str)
@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(),
        Preprocessing(mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4), channels="bgr"),
        Preprocessing(mean=(0.0,), std=(255.0,), resize=43),
    ],
    ids=["default", "bgr", "resize"],
)
def test_example_prepares_and_ranks_like_python(
    size: tuple[int, int], preprocessing: Preprocessing, classify: Path, tmp_path: Path
) -> None:
    builder = Builder(7)
    value = builder.conv(builder.image(3, 32, 40), 16, (3, 3), (2, 2), pads=(1, 1, 1, 1))
    builder.conv(builder.global_pool(value), 12, head="f32_flat")
    model = builder.finish()
    model.metadata = {"preprocessing": preprocessing.metadata()}
    (tmp_path / "m.lace").write_bytes(model.to_bytes())
    pixels = np.random.default_rng(1).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.ppm")
    done = board.run_program("cortex-a72", classify, tmp_path / "m.lace", tmp_path / "p.ppm")
    assert done.stdout == best(tmp_path / "m.lace", tmp_path / "p.ppm", preprocessing)


@pytest.mark.needs_data
@pytest.mark.parametrize("processor", PROCESSORS)
def test_example_classifies_a_photo(processor: str, classify: Path, data: Path, tmp_path: Path) -> None:
    dense = networks.write("mobilenet_v1", data, tmp_path)["mobilenet_v1_dense"]
    model = Model.from_bytes(dense.read_bytes())
    model.metadata = dict(model.metadata, preprocessing=Preprocessing().metadata())
    dense.write_bytes(model.to_bytes())
    Image.open(data / "test_photos/cat.bmp").convert("RGB").save(tmp_path / "cat.ppm")
    for threads in ("1", "4"):
        done = board.run_program(processor, classify, dense, tmp_path / "cat.ppm", threads)
        assert done.stdout == best(dense, tmp_path / "cat.ppm", Preprocessing())


def test_example_refuses_what_it_cannot_read(classify: Path, tmp_path: Path) -> None:
    (tmp_path / "m.lace").write_bytes(b"not a model" * 30)
    (tmp_path / "empty").touch()
    for model, said in (
        (tmp_path / "m.lace", "the first eight bytes are the magic"),
        (tmp_path / "empty", "empty"),
    ):
        done = board.run_program("cortex-a72", classify, model, tmp_path / "p.ppm", check=False)
        assert done.returncode == 1 and said in done.stderr
