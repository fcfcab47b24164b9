"""The inner loops of the products, as the compiler left them, reach what llvm-mca's models of the cores allow."""

from __future__ import annotations

import pytest
from arm.loops import Loop, inner_loops, model

# Kernel -> core, multiply-accumulates a cycle: of 32 with two SDOT a cycle, of 8 with one SMULL or SMLAL.
LEAST = {
    f"gemm_{kind}_{block}__dotprod": ("neoverse-n1", 28)
    for kind in ("sparse", "dense")
    for block in ("4x4", "2x4")
}
LEAST |= {f"gemm_{kind}_4x4__neon": ("cortex-a72", 7) for kind in ("sparse", "dense")}


@pytest.fixture(scope="module")
def loops() -> dict[str, Loop]:
    """The inner loop of every kernel."""
    return {loop.kernel: loop for loop in inner_loops()}


@pytest.mark.parametrize("kernel", LEAST)
def test_an_inner_loop_reaches_its_modelled_rate(kernel: str, loops: dict[str, Loop]) -> None:
    core, least = LEAST[kernel]
    modelled = model(loops[kernel], core)
    assert modelled.rate >= least, f"{modelled.rate:.2f} on {core}:\n{loops[kernel].assembly()}"
