"""What a session refuses: every refusal is typed, says what and where, and leaves the session usable."""

from __future__ import annotations

import copy
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import two_inputs

import lacewing
from lacewing import InputError, ModelFormatError, Session
from lacewing.arguments import MAX_THREADS
from lacewing.commands.inputs import random_inputs
from lacewing.format.description import HEADER_BYTES, INVARIANTS
from lacewing.format.model import checksum

Inputs = dict[str, Any]


def _with(name: str, value: object) -> Callable[[Inputs], Inputs]:
    return lambda inputs: {**inputs, name: value}


BAD_INPUTS: dict[str, tuple[Callable[[Inputs], Any], str]] = {
    "missing": (lambda inputs: {"left": inputs["left"]}, "input 'right' missing"),
    "extra": (_with("more", np.zeros(1, np.float32)), "no input 'more'; it has 'left', 'right'"),
    "misspelt": (lambda i: {"lefft": i["left"], "right": i["right"]}, "Did you mean 'left'"),
    "not a dict": (lambda inputs: list(inputs.values()), "must be a dict"),
    "a list": (_with("left", [[1, 2, 3, 4, 5, 6]]), "found list, wanted a numpy array of uint8 [1, 6]"),
    "float64": (_with("right", np.zeros((1, 6))), "found dtype float64, wanted float32"),
    "signed": (_with("left", np.zeros((1, 6), np.int8)), "found dtype int8, wanted uint8"),
    "float for uint8": (_with("left", np.zeros((1, 6), np.float32)), "after quantizing"),
    "other byte order": (_with("right", np.zeros((1, 6), ">f4")), "found dtype >f4"),
    "rank": (_with("left", np.zeros(6, np.uint8)), "found shape (6,), wanted (1, 6)"),
    "shape": (_with("left", np.zeros((1, 7), np.uint8)), "found shape (1, 7), wanted (1, 6)"),
    "empty": (_with("left", np.zeros((1, 0), np.uint8)), "found shape (1, 0)"),
    "nan": (
        _with("right", np.array([[0, 0, 0, 0, 0, np.nan]], np.float32)),
        "'right': a float input holds NaN",
    ),
    "above 127": (
        _with("left", np.array([[0, 0, 0, 0, 0, 128]], np.uint8)),
        "'left': a u7 input value is above",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_inputs_are_refused_and_the_session_lives(case: str, pair: Session, pair_inputs: Inputs) -> None:
    spoil, message = BAD_INPUTS[case]
    for run in (pair.run, pair.timed_run, pair.layer_results):
        with pytest.raises(InputError) as caught:
            run(spoil(pair_inputs))
        assert message in str(caught.value)
    assert pair.run(pair_inputs)["kept"].tolist() == [[127, 126, 125, 124, 1, 0]]


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


BAD_OUTPUTS: dict[str, tuple[Any, str]] = {
    "unknown": ({"keept": np.zeros((1, 6), np.uint8)}, "no output 'keept'"),
    "not a dict": ([np.zeros((1, 6), np.uint8)], "outputs must be a dict"),
    "dtype": ({"kept": np.zeros((1, 6), np.int8)}, "wanted uint8"),
    "shape": ({"kept": np.zeros((6, 1), np.uint8)}, "wanted (1, 6)"),
    "read-only": ({"kept": _read_only(np.zeros((1, 6), np.uint8))}, "writable"),
    "strided": ({"kept": np.zeros((1, 12), np.uint8)[:, ::2]}, "C-contiguous"),
}


@pytest.mark.parametrize("case", BAD_OUTPUTS)
def test_bad_outputs_are_refused(case: str, pair: Session, pair_inputs: Inputs) -> None:
    outputs, message = BAD_OUTPUTS[case]
    with pytest.raises(InputError, match=None) as caught:
        pair.run(pair_inputs, outputs)
    assert message in str(caught.value)
    assert pair.run(pair_inputs)["kept"][0, 0] == 127


def test_outputs_that_overlap_inputs_are_refused(pair: Session, pair_inputs: Inputs) -> None:
    with pytest.raises(InputError, match="shares memory"):
        pair.run(pair_inputs, {"kept": pair_inputs["left"]})


@pytest.mark.parametrize("threads", [-1, MAX_THREADS + 1, 1.5, True, "many", "", b"2"])
def test_wrong_thread_counts_are_refused(threads: Any, classifier_path: Path) -> None:
    with pytest.raises(InputError, match="threads is"):
        Session(classifier_path, threads=threads)


@pytest.mark.parametrize("threads", ["-1", str(MAX_THREADS + 1), "1.5", "many", "9" * 50])
def test_a_wrong_thread_count_in_the_environment_is_refused(
    threads: str, classifier_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LACEWING_THREADS", threads)
    with pytest.raises(InputError, match="LACEWING_THREADS is"):
        Session(classifier_path)


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "1 GB", 1 << 63])
def test_wrong_memory_limits_are_refused(limit: Any, classifier_path: Path) -> None:
    with pytest.raises(InputError, match="max_memory is"):
        Session(classifier_path, max_memory=limit)


@pytest.mark.parametrize("tier", ["avx9", "neon", "AVX2", " scalar"])
def test_unavailable_tiers_are_refused(
    tier: str, classifier_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LACEWING_TIER", tier)
    with pytest.raises(lacewing.KernelError, match="scalar"):
        Session(classifier_path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(lacewing.ModelNotFoundError, match="no such file"):
        Session(tmp_path / "none.lace")
    with pytest.raises(FileNotFoundError):
        lacewing.verify(tmp_path / "none.lace")
    with pytest.raises(lacewing.ModelFileError):
        Session(tmp_path)
    with pytest.raises(lacewing.ModelFileError):
        Session("\0")
    with pytest.raises(InputError, match="path or bytes"):
        Session(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not contiguous"):
        Session(memoryview(bytes(200))[::2])


def test_a_device_file_is_not_a_model() -> None:
    with pytest.raises(lacewing.ModelFileError, match="not a regular file"):
        lacewing.verify(os.devnull)


def test_an_empty_file_is_truncated(tmp_path: Path) -> None:
    (tmp_path / "empty.lace").touch()
    for source in (tmp_path / "empty.lace", b""):
        with pytest.raises(ModelFormatError) as caught:
            lacewing.verify(source)
        assert (caught.value.code, caught.value.name) == (1, "truncated")


def test_every_truncation_is_refused() -> None:
    file = two_inputs().to_bytes()
    for size in [*range(200), *range(200, len(file), 61)]:
        with pytest.raises(ModelFormatError):
            lacewing.verify(file[:size])
        with pytest.raises(ModelFormatError):
            Session(file[:size])


def test_every_flipped_byte_is_refused() -> None:
    file = two_inputs().to_bytes()
    for position in range(len(file)):
        broken = bytearray(file)
        broken[position] ^= 0x41
        with pytest.raises(ModelFormatError) as caught:
            lacewing.verify(broken)
        assert caught.value.name in {invariant.name for invariant in INVARIANTS}


def _resealed(file: bytearray) -> bytes:
    struct.pack_into("<Q", file, 24, checksum(bytes(file[HEADER_BYTES:])))
    return bytes(file)


def test_format_errors_carry_their_numbers() -> None:
    model = two_inputs()
    model.tensors[0].zero_point = 128
    with pytest.raises(ModelFormatError) as caught:
        Session(model.to_bytes())
    error = caught.value
    assert (error.code, error.name, error.where, error.index, error.source) == (
        18,
        "tensor_zero_point",
        "tensor",
        0,
        "<bytes>",
    )
    assert error.rule in str(error) and "tensor 0" in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.code, again.found) == (str(error), error.code, error.found)


def test_a_changed_header_field_is_found_although_the_checksum_fits() -> None:
    file = bytearray(two_inputs().to_bytes())
    struct.pack_into("<H", file, 8, 2)
    with pytest.raises(ModelFormatError) as caught:
        lacewing.verify(_resealed(file))
    assert caught.value.name == "version"


def test_a_closed_session_refuses_everything(pair_inputs: Inputs) -> None:
    session = Session(two_inputs().to_bytes(), threads=2)
    session.close()
    session.close()
    uses: list[Callable[[], object]] = [
        lambda: session.run(pair_inputs),
        lambda: session.timed_run(pair_inputs),
        lambda: session.layer_results(pair_inputs),
        lambda: session.layers,
        lambda: session.metadata,
        lambda: session.arena_bytes,
        lambda: session.file_view(),
    ]
    for use in uses:
        with pytest.raises(lacewing.SessionError, match="closed"):
            use()
    assert "closed" in repr(session)


def test_sessions_cannot_be_pickled_or_copied(pair: Session) -> None:
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(lacewing.SessionError, match="pickled"):
            attempt(pair)


def test_profile_needs_a_run(pair: Session, pair_inputs: Inputs) -> None:
    with pytest.raises(InputError, match="at least 1"):
        pair.profile(pair_inputs, runs=0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("threads", [1, 2])
def test_across_a_fork(threads: int, classifier_path: Path) -> None:
    """One thread works in the child; several are refused there instead of waiting for ever."""
    session = Session(classifier_path, threads=threads)
    inputs = random_inputs(session.inputs)
    wanted = session.run(inputs)["t15"].tobytes()
    child = os.fork()
    if child == 0:
        code = 9
        try:
            code = 0 if session.run(inputs)["t15"].tobytes() == wanted else 1
        except lacewing.SessionError:
            code = 2
        finally:
            session.close()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == (0 if threads == 1 else 2)
    assert session.run(inputs)["t15"].tobytes() == wanted
    session.close()


def test_metadata_that_is_no_object_is_a_format_error() -> None:
    model = two_inputs()
    file = model.to_bytes().replace(b'{"source":"a test"}', b'{"source" "a test"}')
    with pytest.raises(ModelFormatError) as caught, Session(_resealed(bytearray(file))) as session:
        print(session.metadata)
    assert caught.value.name == "metadata"
