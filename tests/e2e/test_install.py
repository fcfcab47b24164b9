"""The wheel on a machine that has nothing but numpy and cffi, and the source distribution with a compiler alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import numpy
import pytest

from lacewing.selftest.models import classifier

ROOT = Path(__file__).resolve().parents[2]
NOT_SOURCE = {".git", ".venv", "build", "dist", "node_modules", "__pycache__"}
RUN_TIME = (
    "numpy",
    "numpy.libs",
    "numpy-*.dist-info",
    "cffi",
    "cffi-*.dist-info",
    "_cffi_backend*",
    "pycparser*",
)
BUILD_TIME = ("setuptools", "setuptools-*.dist-info", "_distutils_hack", "distutils-precedence.pth")
TOO_MUCH = ("torch", "onnx", "onnxruntime", "openvino", "scipy", "PIL", "setuptools")


def _run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    variables = {
        k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LACEWING_TIER", "LACEWING_THREADS")
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=variables | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _tree(target: Path) -> Path:
    """A copy of the sources, so that building leaves nothing in the repository."""
    files = _run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, files):
        if not NOT_SOURCE & set(Path(name).parts) and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of the working tree."""
    tree = _tree(tmp_path_factory.mktemp("tree"))
    out = tmp_path_factory.mktemp("sdist")
    _run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "-o", out, tree)
    (found,) = out.glob("lacewing-*.tar.gz")
    return found


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a board builds it: from the source distribution, with gcc, setuptools, cffi and no network."""
    out = tmp_path_factory.mktemp("wheel")
    tools = tmp_path_factory.mktemp("tools")
    for name in ("gcc", "as", "ld"):
        (tools / name).symlink_to(str(shutil.which(name)))
    python = _environment(tmp_path_factory.mktemp("builder"), (*RUN_TIME, *BUILD_TIME))
    pip = (sys.executable, "-m", "pip", "--python", python)
    _run(
        *(*pip, "wheel", "--no-index", "--no-build-isolation", "--no-deps", "-w", out, sdist),
        PATH=str(tools),
        CC="gcc",
        LDSHARED="gcc -shared",
    )
    (found,) = out.glob("lacewing-*.whl")
    return found


@pytest.fixture(scope="module")
def device(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with the wheel, numpy, cffi and nothing else."""
    python = _environment(tmp_path_factory.mktemp("device"), RUN_TIME)
    _run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    return python


def _environment(folder: Path, packages: tuple[str, ...]) -> Path:
    """The interpreter of an environment with packages as they are installed here: the test needs no network."""
    venv.create(folder, with_pip=False)
    python = folder / "bin/python"
    site = Path(_run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    ours = Path(numpy.__file__).parents[1]
    for pattern in packages:
        for found in ours.glob(pattern):
            target = site / found.name
            shutil.copytree(found, target) if found.is_dir() else shutil.copy2(found, target)
    return python


def test_the_wheel_holds_one_package_for_every_python(wheel: Path) -> None:
    assert "-cp310-abi3-" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"lacewing", f"lacewing-{wheel.name.split('-')[1]}.dist-info"}
    assert [name for name in names if name.endswith(".so")] == ["lacewing/_engine.abi3.so"]
    assert not [name for name in names if name.endswith((".c", ".lace", ".onnx"))]
    assert "lacewing/selftest/digests.json" in names and "lacewing/py.typed" in names


def test_the_library_is_stripped_and_small(wheel: Path) -> None:
    info = zipfile.ZipFile(wheel).getinfo("lacewing/_engine.abi3.so")
    assert info.file_size <= 300 * 1024


def test_the_source_distribution_is_complete_and_clean(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    headers = {str(path.relative_to(ROOT)) for path in (ROOT / "runtime/engine").rglob("*.h")}
    assert headers <= names
    assert {"LICENSE", "README.md", "setup.py", "runtime/extension/build_ffi.py"} <= names
    assert not [name for name in names if name.endswith((".so", ".o", ".lace", "_engine.c"))]


def test_a_device_runs_a_model_with_numpy_and_cffi_only(device: Path, tmp_path: Path) -> None:
    (tmp_path / "m.lace").write_bytes(classifier().to_bytes())
    code = (
        "import sys, numpy, lacewing\n"
        "with lacewing.Session('m.lace') as session:\n"
        "    (info,) = session.inputs\n"
        "    result = session.run({info.name: numpy.zeros(info.shape, info.dtype)})\n"
        f"print(sorted(name for name in sys.modules if name.partition('.')[0] in {TOO_MUCH!r}))\n"
        "print([name for name in sys.modules if name.startswith('lacewing.converter')])\n"
        "print(float(result[session.outputs[0].name].sum()))\n"
    )
    lines = _run(device, "-I", "-c", code, cwd=tmp_path).splitlines()
    assert lines[:2] == ["[]", "[]"]
    assert float(lines[2]) == pytest.approx(1, abs=1e-5)


def test_a_device_has_nothing_stray(device: Path) -> None:
    site = Path(_run(device, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    tops = {path.name for path in site.iterdir()}
    assert not tops & {
        "runtime",
        "converter",
        "profiles",
        "kernels_x86",
        "kernels_arm",
        "kernels_wasm",
        "tests",
    }
    for name in TOO_MUCH:
        assert not (site / name).exists(), f"{name} would hide what the runtime imports"


def test_a_device_has_the_command(device: Path) -> None:
    command = device.with_name("lacewing")
    assert _run(command, "--version").startswith("lacewing ")
    assert json.loads(_run(command, "selftest", "--json"))["ok"] is True
    report = json.loads(_run(command, "doctor", "--json"))
    assert report["problem"] is None and report["packages"]["onnx"] is None


def test_a_device_is_told_what_the_converter_needs(device: Path) -> None:
    command = device.with_name("lacewing")
    done = subprocess.run([command, "convert", "m.onnx"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'pip install "lacewing[convert]"' in done.stderr and "Traceback" not in done.stderr
