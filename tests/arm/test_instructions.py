"""No kernel may take more instructions than it did: counted on emulated processors, one small network per kernel.

A kernel that got better gets a lower limit here. What the whole costs, and the peers, is `make bench-arm`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from arm.emulator import CPUS, ENGINE, Counted, Cpu, count
from arm.names import Names, total

from tests.models import Builder

SIZE, CHANNELS = 28, 64
SLACK = 1.01  # a compiler's other mood
# Executed instructions of the engine, in thousands: network -> (neon, dotprod, i8mm).
LIMITS = {
    "first_convolution": (737, 406, 388),
    "pointwise_dense_4x4": (2044, 1009, 894),
    "pointwise_quarter_4x4": (1073, 689, 702),
    "pointwise_quarter_2x4": (1097, 708, 708),
    "depthwise_stride_1": (483, 411, 411),
    "depthwise_stride_2": (271, 263, 263),
    "fully_connected": (57, 40, 40),
}


def write(network: str, folder: Path) -> Path:
    """A model of one layer between a small quantization and the output."""
    b = Builder(seed=1)
    if network == "first_convolution":
        b.conv(b.image(3, 2 * SIZE, 2 * SIZE), CHANNELS, kernel=(3, 3), stride=(2, 2), pads=(0, 0, 1, 1))
    elif network == "fully_connected":
        b.conv(b.image(4 * CHANNELS, 1, 1), 4 * CHANNELS, head="f32_flat")
    else:
        x = b.image(CHANNELS, SIZE, SIZE)
        if network.startswith("pointwise"):
            rows = int(network[-3])
            b.conv(x, 2 * CHANNELS, block_rows=rows, density=0.25 if "quarter" in network else 1.0)
        else:
            stride = int(network[-1])
            b.depthwise(x, (3, 3), (stride, stride), pads=(1, 1, 1, 1) if stride == 1 else (0, 0, 1, 1))
    path = folder / f"{network}.lace"
    path.write_bytes(b.finish().to_bytes())
    return path


@pytest.fixture(scope="module", params=CPUS, ids=lambda cpu: cpu.tier)
def counted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Cpu, dict[str, Counted]]:
    """Every network on one processor."""
    folder = tmp_path_factory.mktemp("instructions")
    paths = [write(network, folder) for network in LIMITS]
    return request.param, dict(zip(LIMITS, count(request.param, "lacewing", paths), strict=True))


@pytest.mark.parametrize("network", LIMITS)
def test_a_kernel_takes_no_more_instructions_than_it_did(
    network: str, counted: tuple[Cpu, dict[str, Counted]]
) -> None:
    cpu, results = counted
    result = results[network]
    names = Names(result.maps)
    ours = names.within(result.runs[0], ENGINE)
    limit = 1000 * LIMITS[network][CPUS.index(cpu)]
    assert total(ours) <= SLACK * limit, (
        f"{network} on {cpu.qemu}: {total(ours):,} instructions, limit {limit:,}; "
        f"{names.by_function(ours).most_common(6)}"
    )
