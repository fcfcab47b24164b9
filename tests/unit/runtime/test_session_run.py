"""What a session computes and tells, when it is used rightly."""

from __future__ import annotations

import json
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import two_inputs

import lacewing
from lacewing import Session
from lacewing.commands.inputs import random_inputs
from lacewing.library import available_tiers
from lacewing.selftest.run import digests, expected


@pytest.mark.parametrize("tier", available_tiers())
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_tier_and_thread_count_gives_the_committed_bits(
    tier: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LACEWING_TIER", tier)
    assert digests(threads) == expected()


def test_infos_say_what_the_file_says(pair: Session) -> None:
    left, right = pair.inputs
    assert (left.name, left.shape, left.dtype, left.scale, left.zero_point) == (
        "left",
        (1, 6),
        "uint8",
        0.5,
        3,
    )
    assert (right.name, right.shape, right.dtype, right.scale, right.zero_point) == (
        "right",
        (1, 6),
        "float32",
        0.0,
        0,
    )
    assert [tensor.name for tensor in pair.outputs] == ["kept", "soft"]
    assert pair.metadata == {"source": "a test"}
    assert [layer.kind for layer in pair.layers] == ["table", "softmax"]
    assert "left uint8 [1, 6]" in repr(pair)


def test_results_are_new_arrays_of_the_right_values(
    pair: Session, pair_inputs: dict[str, np.ndarray]
) -> None:
    first = pair.run(pair_inputs)
    assert first["kept"].tolist() == [[127, 126, 125, 124, 1, 0]]
    exponentials = np.exp(pair_inputs["right"].astype(np.float64))
    np.testing.assert_allclose(first["soft"], exponentials / exponentials.sum(), rtol=1e-6)
    second = pair.run({"left": np.zeros((1, 6), np.uint8), "right": pair_inputs["right"]})
    assert first["kept"].tolist() == [[127, 126, 125, 124, 1, 0]], "an earlier result must not change"
    assert second["kept"].tolist() == [[127] * 6]


def test_given_outputs_are_written_in_place(pair: Session, pair_inputs: dict[str, np.ndarray]) -> None:
    mine = np.full((1, 6), 99, np.uint8)
    results = pair.run(pair_inputs, {"kept": mine})
    assert results["kept"] is mine
    assert mine.tolist() == [[127, 126, 125, 124, 1, 0]]
    assert results["soft"].shape == (1, 6)


def test_other_layouts_are_copied_not_misread(pair: Session, pair_inputs: dict[str, np.ndarray]) -> None:
    wide = np.zeros((1, 12), np.uint8)
    wide[:, ::2] = pair_inputs["left"]
    raw = np.zeros(6 * 4 + 1, np.uint8)
    unaligned = raw[1:].view(np.float32).reshape(1, 6)
    unaligned[:] = pair_inputs["right"]
    assert not unaligned.flags.aligned
    odd = pair.run({"left": wide[:, ::2], "right": unaligned})
    plain = pair.run(pair_inputs)
    assert all(odd[name].tobytes() == plain[name].tobytes() for name in plain)


def test_read_only_inputs_are_fine(pair: Session, pair_inputs: dict[str, np.ndarray]) -> None:
    for array in pair_inputs.values():
        array.flags.writeable = False
    assert pair.run(pair_inputs)["kept"][0, 0] == 127


def test_path_and_bytes_and_unaligned_bytes_agree(classifier_path: Path) -> None:
    file = classifier_path.read_bytes()
    sources = [classifier_path, str(classifier_path), file, bytearray(file), memoryview(b"x" + file)[1:]]
    results = []
    for source in sources:
        with Session(source) as session:
            results.append(session.run(random_inputs(session.inputs))["t17"].tobytes())
    assert len(set(results)) == 1


def test_a_bytearray_may_change_after_loading() -> None:
    file = bytearray(two_inputs().to_bytes())
    with Session(file) as session:
        inputs = random_inputs(session.inputs)
        before = session.run(inputs)["kept"].tobytes()
        file[:] = bytes(len(file))
        assert session.run(inputs)["kept"].tobytes() == before


def test_many_python_threads_share_one_session(classifier_path: Path) -> None:
    with Session(classifier_path, threads=2) as session:
        wanted = [session.run(random_inputs(session.inputs, seed))["t15"].tobytes() for seed in range(4)]
        wrong: list[int] = []

        def work(seed: int) -> None:
            inputs = random_inputs(session.inputs, seed)
            for _ in range(20):
                if session.run(inputs)["t15"].tobytes() != wanted[seed]:
                    wrong.append(seed)

        workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert wrong == []


def test_layer_results_end_in_the_outputs(detector_path: Path) -> None:
    with Session(detector_path) as session:
        inputs = random_inputs(session.inputs)
        outputs = session.run(inputs)
        results = {result.tensor.name: result for result in session.layer_results(inputs)}
        assert len(results) == len(session.layers)
        for info in session.outputs:
            assert results[info.name].array.tobytes() == outputs[info.name].tobytes()
            assert results[info.name].tensor.shape == info.shape
        assert session.run(inputs)["t23"].tobytes() == outputs["t23"].tobytes(), (
            "observing must leave no trace"
        )


def test_times_are_per_layer_and_positive(classifier_path: Path) -> None:
    with Session(classifier_path) as session:
        inputs = random_inputs(session.inputs)
        times = session.timed_run(inputs)
        assert [time.name for time in times] == [layer.name for layer in session.layers]
        assert all(time.seconds >= 0 for time in times) and sum(time.seconds for time in times) > 0
        assert len(session.profile(inputs, runs=3)) == len(times)


def test_a_trace_is_chrome_json(classifier_path: Path) -> None:
    with Session(classifier_path) as session:
        document = json.loads(json.dumps(session.trace(random_inputs(session.inputs), runs=2)))
    events = document["traceEvents"]
    assert len(events) == 2 * (len(classifier_layers(classifier_path)) + 1)
    assert {"name", "ph", "ts", "dur", "pid", "tid"} <= set(events[1])
    inner = [event for event in events if "args" in event]
    assert all(a["ts"] + a["dur"] <= b["ts"] + 1e-6 for a, b in pairwise(inner))


def classifier_layers(path: Path) -> tuple[lacewing.LayerInfo, ...]:
    """The layers of a file."""
    with Session(path) as session:
        return session.layers


def test_sparse_layers_say_so(classifier_path: Path) -> None:
    convolutions = [layer for layer in classifier_layers(classifier_path) if layer.kind == "conv"]
    assert convolutions[0].kept_macs == convolutions[0].macs
    assert all(0 < layer.kept_macs < layer.macs for layer in convolutions[1:])
    assert all(layer.kernel and layer.weight_bytes for layer in convolutions)


def test_threads_come_from_argument_then_environment(
    classifier_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def threads(argument: int | str | None) -> int:
        with Session(classifier_path, threads=argument) as session:
            return session.threads

    monkeypatch.delenv("LACEWING_THREADS", raising=False)
    assert (threads(None), threads(1), threads(3)) == (1, 1, 3)
    assert threads("auto") == threads(0) >= 1
    monkeypatch.setenv("LACEWING_THREADS", "2")
    assert (threads(None), threads(1)) == (2, 1)
    monkeypatch.setenv("LACEWING_THREADS", "auto")
    assert threads(None) == threads("auto")


def test_memory_is_what_max_memory_must_allow(classifier_path: Path) -> None:
    with Session(classifier_path) as session:
        need = session.memory_bytes
        assert 0 < session.arena_bytes < need
        assert session.file_bytes == classifier_path.stat().st_size
    with Session(classifier_path, max_memory=need) as session:
        assert session.memory_bytes == need
    with pytest.raises(lacewing.LimitError) as caught:
        Session(classifier_path, max_memory=need - 1)
    assert caught.value.needed == need and caught.value.allowed == need - 1
