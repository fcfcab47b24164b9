"""Hands each test the kernels of the family that it names: a test with a `gemm` argument runs once per gemm kernel."""

from __future__ import annotations

import pytest
from kernel_bench import kernel_list

FAMILIES = ("gemm", "gemv", "pack", "depthwise", "add", "mul", "table", "quantize", "avg_pool", "max_pool")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for family in FAMILIES:
        if family in metafunc.fixturenames:
            rows = [k for k in kernel_list() if k.family == family.upper()]
            metafunc.parametrize(family, rows, ids=str)


def pytest_report_header() -> str:
    builds: dict[str, set[str]] = {}
    for kernel in kernel_list():
        builds.setdefault(kernel.tier.lower(), set()).add(kernel.build)
    how = (f"{tier} ({', '.join(sorted(b))})" for tier, b in builds.items())
    return f"kernels run: {', '.join(how)}"
