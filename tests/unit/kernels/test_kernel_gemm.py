"""GEMM and GEMV against the reference, at every boundary of their arguments."""

from __future__ import annotations

import pytest
from gemm_cases import make_gemm
from kernel_bench import Kernel, check

BLOCKS = (1, 2, 4, 8)
VALUES = ("full", "minus", "edges", "pair_edge", "small", "zero")


def accepts(kernel: Kernel, block_rows: int) -> bool:
    return kernel.block_rows in (0, block_rows)


def block_sizes(kernel: Kernel) -> list[int]:
    return [b for b in BLOCKS if accepts(kernel, b)]


def test_gemm_random_shapes(gemm: Kernel) -> None:
    check(gemm, make_gemm, 120)


def test_gemm_pixels_one_to_tile(gemm: Kernel) -> None:
    for pixels in range(1, gemm.tile + 1):
        check(gemm, make_gemm, 3, pixels=pixels)


def test_gemm_channels_around_each_block(gemm: Kernel) -> None:
    for block_rows in block_sizes(gemm):
        for channels in range(1, 2 * max(block_rows, 4) + 2):
            check(gemm, make_gemm, 3, channels=channels, block_rows=block_rows)


@pytest.mark.parametrize("k4", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 127, 129, 255, 256, 257])
def test_gemm_k_even_and_odd(gemm: Kernel, k4: int) -> None:
    check(gemm, make_gemm, 6, k4=k4)


@pytest.mark.parametrize("density", [None, 1.0, 0.7, 0.5, 0.25, 0.05, 0.0])
def test_gemm_density_dense_to_empty(gemm: Kernel, density: float | None) -> None:
    check(gemm, make_gemm, 12, density=density)


@pytest.mark.parametrize("weights", VALUES)
@pytest.mark.parametrize("activations", ["full", "edges", "zero"])
def test_gemm_values_that_saturate_int16(gemm: Kernel, weights: str, activations: str) -> None:
    check(gemm, make_gemm, 9, weights=weights, activations=activations)


@pytest.mark.parametrize("scale", ["tiny", "huge", "tie"])
@pytest.mark.parametrize("extreme_bias", [False, True])
def test_gemm_requantize_at_its_limits(gemm: Kernel, scale: str, extreme_bias: bool) -> None:
    check(gemm, make_gemm, 12, scale=scale, extreme_bias=extreme_bias)


@pytest.mark.parametrize("extreme_bias", [False, True])
def test_gemm_f32_output(gemm: Kernel, extreme_bias: bool) -> None:
    check(gemm, make_gemm, 40, as_f32=True, extreme_bias=extreme_bias)


def test_gemv_random_shapes(gemv: Kernel) -> None:
    check(gemv, make_gemm, 200)


def test_gemv_channels_around_each_block(gemv: Kernel) -> None:
    for block_rows in block_sizes(gemv):
        for channels in range(1, 2 * max(block_rows, 4) + 2):
            check(gemv, make_gemm, 6, channels=channels, block_rows=block_rows)


def test_gemv_k_from_one_to_past_a_vector(gemv: Kernel) -> None:
    for k4 in [*range(1, 36), 63, 64, 65, 256, 257]:
        check(gemv, make_gemm, 4, k4=k4)


@pytest.mark.parametrize("density", [None, 1.0, 0.7, 0.5, 0.25, 0.05, 0.0])
def test_gemv_density_dense_to_empty(gemv: Kernel, density: float | None) -> None:
    check(gemv, make_gemm, 12, density=density)


@pytest.mark.parametrize("weights", VALUES)
@pytest.mark.parametrize("activations", ["full", "edges", "zero"])
def test_gemv_values_that_saturate_int16(gemv: Kernel, weights: str, activations: str) -> None:
    check(gemv, make_gemm, 9, weights=weights, activations=activations, k4=33)


@pytest.mark.parametrize("scale", ["tiny", "huge", "tie"])
@pytest.mark.parametrize("extreme_bias", [False, True])
def test_gemv_requantize_at_its_limits(gemv: Kernel, scale: str, extreme_bias: bool) -> None:
    check(gemv, make_gemm, 12, scale=scale, extreme_bias=extreme_bias)


@pytest.mark.parametrize("extreme_bias", [False, True])
def test_gemv_f32_output(gemv: Kernel, extreme_bias: bool) -> None:
    check(gemv, make_gemm, 40, as_f32=True, extreme_bias=extreme_bias)
