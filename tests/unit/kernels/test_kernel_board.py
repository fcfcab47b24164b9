"""The emulated boards: there are all of them, and each knows what its processor has."""

from __future__ import annotations

import kernel_board
import kernel_build
import pytest
from elementwise_cases import make_table
from kernel_bench import check, function_of, kernel_list

pytestmark = pytest.mark.skipif(kernel_build.SANITIZE, reason="boards run what the sanitizers did not build")


@pytest.mark.parametrize("processor", kernel_board.PROCESSORS)
def test_board_finds_its_tiers(processor: str) -> None:
    assert kernel_board.is_built(), "no emulated board: run `make arm-board` first"
    names = kernel_build.ffi().typeof("lw_tier").elements
    tiers = {names[t].removeprefix("LW_TIER_") for t in kernel_board.board(processor).tiers}
    assert tiers == set(kernel_board.PROCESSORS[processor])


def test_every_board_kernel_is_run() -> None:
    """A kernel whose tier no board has would be tested nowhere."""
    assert kernel_board.is_built(), "no emulated board: run `make arm-board` first"
    run = {k.name for k in kernel_list() if k.build in kernel_board.PROCESSORS}
    listed = {row[-1] for row in kernel_board.board("cortex-a72").kernels}
    assert run == listed


def test_board_tells_how_a_kernel_died_and_comes_back() -> None:
    table = next(k for k in kernel_list() if k.family == "TABLE" and k.build == "cortex-a72" and k.is_scalar)
    lost = kernel_build.ffi().new("lw_table_args *", {"count": 1})  # its pointers are NULL
    with pytest.raises(pytest.fail.Exception, match="on cortex-a72: died of SIGSEGV"):
        function_of(table)(lost)
    check(table, make_table, 1)
