"""The aarch64 wheel on emulated boards: the same bytes as on this machine, nothing touched, no instruction too new."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lacewing
from lacewing.format import Model
from lacewing.selftest.run import expected
from tests.arm import board, networks
from tests.arm.board import PROCESSORS
from tests.conformance.inputs import vector_inputs
from tests.conformance.make_vectors import FOLDER, INDEX, digests

THREADS = (1, 4)
Jobs = list[dict[str, Any]]
boards = pytest.mark.parametrize("processor", PROCESSORS)
ALL_TIERS = list(PROCESSORS.values())[-1]


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """Tests that have no board to run on would prove nothing."""
    assert board.INSTALLED.is_dir(), "no emulated board: run `make arm`"


def answers(processor: str, jobs: Jobs, folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each job with the board's answer."""
    (folder / "jobs.json").write_text(json.dumps(jobs))
    script = Path(__file__).with_name("on_board.py")
    lines = board.run(processor, script, folder / "jobs.json").stdout.splitlines()
    yield from zip(jobs, map(json.loads, lines), strict=True)


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Jobs:
    """The conformance vectors and their committed digests."""
    folder = tmp_path_factory.mktemp("vectors")
    jobs = []
    for name, vector in json.loads(INDEX.read_text()).items():
        file = FOLDER / f"{name}.lace"
        np.savez(folder / name, **vector_inputs(Model.from_bytes(file.read_bytes()), vector["seed"]))
        jobs.append(
            {
                "name": name,
                "model": str(file),
                "inputs": str(folder / f"{name}.npz"),
                "wanted": vector["outputs"],
            }
        )
    return jobs


@pytest.fixture(scope="session", params=networks.NETWORKS)
def network(request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Jobs:
    """A real network, dense and sparse, and what this machine's best and scalar kernels both answer."""
    folder = tmp_path_factory.mktemp("network")
    inputs = networks.inputs(request.param)
    np.savez(folder / "inputs", **inputs)
    jobs = []
    for name, file in networks.write(request.param, data, folder).items():
        wanted = _answer(file, inputs, lacewing.library.best_tier())
        assert wanted == _answer(file, inputs, "scalar"), name
        jobs.append(
            {"name": name, "model": str(file), "inputs": str(folder / "inputs.npz"), "wanted": wanted}
        )
    return jobs


def _answer(file: Path, inputs: dict[str, networks.Array], tier: str) -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LACEWING_TIER", tier)
        results = lacewing.Session(file).run(inputs)
    assert all(
        np.unique(array).size > 9 for array in results.values()
    )  # one that says nothing proves nothing
    return digests(results)


@pytest.mark.parametrize("platform", ["manylinux_2_17_aarch64", "musllinux_1_2_aarch64"])
def test_a_wheel_holds_one_small_library_for_every_python(platform: str) -> None:
    (wheel,) = (board.ROOT / "dist").glob(f"lacewing-*-cp310-abi3-{platform}.whl")
    files = {file.filename: file.file_size for file in zipfile.ZipFile(wheel).infolist()}
    assert {name.partition("/")[0] for name in files} == {
        "lacewing",
        f"lacewing-{wheel.name.split('-')[1]}.dist-info",
    }
    assert [name for name in files if name.endswith((".so", ".c", ".lace"))] == ["lacewing/_engine.abi3.so"]
    assert files["lacewing/_engine.abi3.so"] <= 300 * 1024


@boards
def test_conformance_vectors(processor: str, vectors: Jobs, tmp_path: Path) -> None:
    ways = [(tier, 1) for tier in PROCESSORS[processor]] + [("", 4)]
    jobs = [vector | {"tier": tier, "threads": threads} for tier, threads in ways for vector in vectors]
    wrong = [a for job, a in answers(processor, jobs, tmp_path) if a["outputs"] != job["wanted"]]
    assert not wrong


@pytest.mark.needs_data
@boards
def test_networks_have_the_bytes_of_x86(processor: str, network: Jobs, tmp_path: Path) -> None:
    jobs = [job | {"tier": "", "threads": threads} for job in network for threads in THREADS]
    wrong = [a for job, a in answers(processor, jobs, tmp_path) if a["outputs"] != job["wanted"]]
    assert not wrong


@boards
def test_selftest(processor: str) -> None:
    report = json.loads(board.run(processor, "-m", "lacewing", "selftest", "--json").stdout)
    assert report["ok"] and " aarch64 " in report["line"]
    assert {check["tier"] for check in report["checks"]} == set(PROCESSORS[processor])
    assert {check["found"] for check in report["checks"]} == set(expected().values())


@boards
def test_doctor_says_what_the_processor_lacks(processor: str) -> None:
    report = json.loads(board.run(processor, "-m", "lacewing", "doctor", "--json").stdout)
    assert report["problem"] is None and report["machine"] == "aarch64"
    assert report["tiers"] == list(PROCESSORS[processor])
    assert report["tier"] == PROCESSORS[processor][-1]
    assert set(report["missing_tiers"]) == set(ALL_TIERS) - set(PROCESSORS[processor])


@boards
def test_a_tier_that_the_processor_lacks_is_refused(processor: str) -> None:
    tiers = (*ALL_TIERS, "avx2")
    code = (
        "import os, lacewing\n"
        f"for tier in {tiers}:\n"
        "    os.environ['LACEWING_TIER'] = tier\n"
        "    try:\n"
        f"        print(lacewing.Session({str(FOLDER / 'conv_stem.lace')!r}).tier)\n"
        "    except lacewing.KernelError as error:\n"
        "        print(error)\n"
    )
    for tier, said in zip(tiers, board.run(processor, "-c", code).stdout.splitlines(), strict=True):
        if tier in PROCESSORS[processor]:
            assert said == tier
        else:
            assert said.startswith(f"LACEWING_TIER={tier}: this machine or build does not have it")
            assert f"Available here: {', '.join(PROCESSORS[processor])}." in said


# What opens a connection or changes a file system, by the names of aarch64's system calls.
FORBIDDEN = {
    *("socket", "socketpair", "connect", "bind", "listen", "accept", "sendto", "sendmsg"),
    *("mkdirat", "mknodat", "unlinkat", "renameat", "renameat2", "linkat", "symlinkat", "truncate", "ftruncate"),
    *("fallocate", "fchmod", "fchmodat", "fchown", "fchownat", "utimensat", "setxattr", "pwritev", "pwrite64"),
}  # fmt: skip


@pytest.mark.needs_data
def test_import_and_first_inference_write_no_file_and_open_no_connection(data: Path, tmp_path: Path) -> None:
    model = networks.write("mobilenet_v2", data, tmp_path)["mobilenet_v2_dense"]
    code = (
        "import numpy, lacewing\n"
        f"with lacewing.Session({str(model)!r}) as session:\n"
        "    session.run({i.name: numpy.zeros(i.shape, i.dtype) for i in session.inputs})\n"
        "print('done')\n"
    )
    board.run("cortex-a76", "-c", code)  # the interpreter's own byte code is now in place
    done = board.run("cortex-a76", "-c", code, QEMU_STRACE="1")
    assert done.stdout == "done\n"
    calls = re.findall(r"^\d+ (\w+)\((.*)$", done.stderr, re.MULTILINE)
    assert [a for name, a in calls if name == "openat" and str(model) in a], (
        "the trace does not show the model"
    )
    assert not [(name, a) for name, a in calls if name in FORBIDDEN]
    writing = re.compile("O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
    assert not [a for name, a in calls if name.startswith("open") and writing.search(a)]
    assert {a.partition(",")[0] for name, a in calls if name in ("write", "writev")} <= {"1", "2"}


def test_the_musl_wheel_loads_with_musl(tmp_path: Path) -> None:
    """musl's own loader finds everything but Python: there is no musl Python to be had here."""
    (wheel,) = (board.ROOT / "dist").glob("lacewing-*-musllinux_1_2_aarch64.whl")
    shutil.unpack_archive(wheel, tmp_path, "zip")
    library = tmp_path / "lacewing/_engine.abi3.so"
    loader = board.LIBRARIES / "lib/ld-musl-aarch64.so.1"
    done = board.run_program("cortex-a72", loader, "--list", library, check=False)
    assert "libc.musl-aarch64.so.1 => " in done.stdout
    missing = re.findall(r"(\w+): symbol not found", done.stderr)
    assert missing and all(name.startswith(("Py", "_Py")) for name in missing), missing
