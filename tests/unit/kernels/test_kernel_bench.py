"""The bench itself: it must notice a wrong byte, a stray write and a value that is no u7."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kernel_build
import numpy as np
import pytest
from elementwise_cases import make_table
from gemm_cases import make_gemm
from kernel_bench import Case, Kernel, check_case, function_of, kernel_list

Spoil = Callable[[Case], None]


def scalar(family: str) -> Kernel:
    return next(k for k in kernel_list() if k.family == family and k.is_scalar)


def spoiled(kernel: Kernel, case: Case, spoil: Spoil) -> Any:
    """The kernel, with something done to the buffers after it."""

    def run(arguments: Any) -> None:
        function_of(kernel)(arguments)
        spoil(case)

    return run


def poke(buffer: str, at: int, change: int) -> Spoil:
    """Adds to one byte, counted from the buffer's first; guards can be reached."""

    def spoil(case: Case) -> None:
        if kernel_build.SANITIZE:  # the write itself must pass
            lib = kernel_build.library("native")
            for address, size in case.buffers[buffer].guards():
                lib.test_unpoison(kernel_build.ffi().cast("void *", address), size)
        pointer = case.buffers[buffer].pointer("uint8_t", at)
        pointer[0] = (pointer[0] + change) % 256

    return spoil


@pytest.mark.parametrize(
    ("buffer", "at", "change", "says"),
    [
        ("output", 0, 1, "1 of 40 bytes differ"),
        ("output", 39, -1, "1 of 40 bytes differ"),
        ("output", 40, 1, "first at byte 40 of 40"),
        ("output", -1, 1, "first at byte -1 of 40"),
        ("input", 7, 1, "first at byte 7 of 40"),
        ("table", 127, 1, "first at byte 127 of 128"),
    ],
)
def test_bench_sees_one_wrong_byte(buffer: str, at: int, change: int, says: str) -> None:
    kernel = scalar("TABLE")
    case = make_table(np.random.default_rng(0), kernel, count=40, per_channel=False)
    check_case(kernel, case)
    with pytest.raises(pytest.fail.Exception, match=says):
        check_case(kernel, case, spoiled(kernel, case, poke(buffer, at, change)))


@pytest.mark.parametrize(("change", "passes"), [(127 - 0xA5, True), (128 - 0xA5, False)])
def test_bench_allows_only_u7_in_padding_pixels(change: int, passes: bool) -> None:
    kernel = scalar("GEMM")
    case = make_gemm(np.random.default_rng(0), kernel, pixels=9, channels=4, as_f32=False)
    check_case(kernel, case)
    spoil = spoiled(kernel, case, poke("output", 15 * 4, change))
    if passes:
        check_case(kernel, case, spoil)
    else:
        with pytest.raises(pytest.fail.Exception, match="first at byte 60"):
            check_case(kernel, case, spoil)


def test_every_family_has_its_scalar_kernel() -> None:
    families = {k.family for k in kernel_list()}
    assert families == {k.family for k in kernel_list() if k.is_scalar}
    assert len(families) == kernel_build.library("native").LW_FAMILY_COUNT
