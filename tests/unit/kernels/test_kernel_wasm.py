"""The WebAssembly modules of the kernel tests: what a module holds is run in one build or another."""

from __future__ import annotations

import kernel_wasm
import pytest
from kernel_bench import kernel_list

pytestmark = pytest.mark.skipif(not kernel_wasm.is_built(), reason="left to the machine that drives this one")


def test_every_wasm_kernel_is_run() -> None:
    """A kernel whose tier no build names would be tested nowhere."""
    run = {k.name for k in kernel_list() if k.build in kernel_wasm.BUILDS}
    listed = {row[3] for build in kernel_wasm.BUILDS for row in kernel_wasm.module(build).kernels}
    assert run == {name for name in listed if not name.endswith("__scalar")}
