"""Threads on mixed processors: what the engine takes for a fast core, from a made-up machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lacewing import arguments
from lacewing._engine import ffi, lib

USABLE = sorted(os.sched_getaffinity(0))


def fake_machine(folder: Path, capacities: dict[int, str]) -> str:
    """A folder of cores as Linux has it."""
    for cpu, text in capacities.items():
        (folder / f"cpu{cpu}").mkdir()
        (folder / f"cpu{cpu}/cpu_capacity").write_text(text)
    return str(folder)


@pytest.mark.parametrize(
    ("capacities", "fast"),
    [
        ([1024] * 4, 4),  # Raspberry Pi: all alike
        ([446] * 4 + [1024] * 4, 4),  # A55 and A76
        ([250] * 4 + [870] * 3 + [1024], 4),  # three kinds
        ([512, 1024], 2),  # just half
        ([511, 1024], 1),
        ([0, 0, 300, 300], 2),  # the fast ones are not ours to use
        ([0, 0], 0),
        ([], 0),
    ],
)
def test_fast_cores_have_half_the_best_capacity(capacities: list[int], fast: int) -> None:
    assert lib.lw_count_fast_cores(ffi.new("uint32_t[]", capacities), len(capacities)) == fast


def test_capacities_come_from_the_folder_of_cores(tmp_path: Path) -> None:
    folder = fake_machine(tmp_path, {cpu: f"{100 + cpu}\n" for cpu in USABLE})
    found = arguments.core_capacities(folder)
    assert {cpu: found[cpu] for cpu in USABLE} == {cpu: 100 + cpu for cpu in USABLE}
    assert sum(found) == sum(found[cpu] for cpu in USABLE)  # what may not be used is 0


@pytest.mark.parametrize("text", ["", "\n", "fast", "0\n", "-5\n"])
def test_a_file_without_a_capacity_is_a_full_one(text: str, tmp_path: Path) -> None:
    folder = fake_machine(tmp_path, dict.fromkeys(USABLE, text))
    assert {arguments.core_capacities(folder)[cpu] for cpu in USABLE} == {int(lib.LW_FULL_CAPACITY)}


def test_cores_without_files_are_alike(tmp_path: Path) -> None:
    assert {arguments.core_capacities(str(tmp_path))[cpu] for cpu in USABLE} == {int(lib.LW_FULL_CAPACITY)}


def test_a_folder_name_that_is_too_long_reads_nothing(tmp_path: Path) -> None:
    assert arguments.core_capacities(str(tmp_path / ("x" * 300))) == arguments.core_capacities(str(tmp_path))


def test_only_cores_of_the_affinity_count() -> None:
    """In a process of its own: affinity is a property of the process."""
    pid = os.fork()
    if pid == 0:
        os.sched_setaffinity(0, {USABLE[-1]})
        expected = [0] * USABLE[-1] + [arguments.core_capacities()[USABLE[-1]]]
        os._exit(0 if arguments.core_capacities() == expected and arguments.performance_cores() == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
