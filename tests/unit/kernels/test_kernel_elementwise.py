"""ADD, MUL, TABLE and QUANTIZE against the reference, around vector lengths and at extreme values."""

from __future__ import annotations

import pytest
from elementwise_cases import make_add, make_mul, make_quantize, make_table
from kernel_bench import Kernel, check

COUNTS = [*range(1, 70), 127, 128, 129, 255, 256, 257]


def test_add_counts_around_a_vector(add: Kernel) -> None:
    for count in COUNTS:
        check(add, make_add, 3, count=count)


def test_add_random(add: Kernel) -> None:
    check(add, make_add, 150)


def test_add_in_place(add: Kernel) -> None:
    check(add, make_add, 60, in_place=True)


@pytest.mark.parametrize("activations", ["full", "edges", "zero", "any"])
@pytest.mark.parametrize("scale", ["tiny", "huge", "tie"])
def test_add_at_its_limits(add: Kernel, scale: str, activations: str) -> None:
    check(add, make_add, 12, scale=scale, activations=activations)


def test_mul_counts_around_a_vector(mul: Kernel) -> None:
    for count in COUNTS:
        check(mul, make_mul, 3, count=count)


@pytest.mark.parametrize("b_quad", [False, True])
def test_mul_random(mul: Kernel, b_quad: bool) -> None:
    check(mul, make_mul, 100, b_quad=b_quad)


@pytest.mark.parametrize("b_quad", [False, True])
def test_mul_in_place(mul: Kernel, b_quad: bool) -> None:
    check(mul, make_mul, 30, b_quad=b_quad, in_place=True)


@pytest.mark.parametrize("count", range(4, 140, 4))
def test_mul_broadcast_counts_around_a_vector(mul: Kernel, count: int) -> None:
    check(mul, make_mul, 3, b_quad=True, count=count)


@pytest.mark.parametrize("activations", ["full", "edges", "zero", "any"])
@pytest.mark.parametrize("scale", ["tiny", "huge", "tie"])
def test_mul_at_its_limits(mul: Kernel, scale: str, activations: str) -> None:
    check(mul, make_mul, 12, scale=scale, activations=activations)


def test_table_counts_around_a_vector(table: Kernel) -> None:
    for count in COUNTS:
        check(table, make_table, 3, count=count, per_channel=False)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("in_place", [False, True])
def test_table_random(table: Kernel, per_channel: bool, in_place: bool) -> None:
    check(table, make_table, 60, per_channel=per_channel, in_place=in_place)


@pytest.mark.parametrize("count", range(4, 140, 4))
def test_table_per_channel_counts_around_a_vector(table: Kernel, count: int) -> None:
    check(table, make_table, 3, per_channel=True, count=count)


def test_quantize_pixels_around_a_vector(quantize: Kernel) -> None:
    for pixels in range(1, 70):
        check(quantize, make_quantize, 3, pixels=pixels)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("reals", ["any", "tie", "wild"])
def test_quantize_values(quantize: Kernel, channels: int, reals: str) -> None:
    check(quantize, make_quantize, 24, channels=channels, reals=reals)


@pytest.mark.parametrize("pixels", [1, 7, 8, 9, 33])
def test_quantize_reports_one_nan_anywhere(quantize: Kernel, pixels: int) -> None:
    check(quantize, make_quantize, 24, pixels=pixels, nans=1)


def test_quantize_leaves_an_earlier_nan_report(quantize: Kernel) -> None:
    check(quantize, make_quantize, 9, already_nan=True)
