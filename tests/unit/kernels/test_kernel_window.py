"""PACK, DEPTHWISE and the pools against the reference, at the edges of images, windows and threads' shares."""

from __future__ import annotations

import pytest
from kernel_bench import Kernel, check
from window_cases import make_depthwise, make_pack, make_pool

WINDOWS = [1, 2, 3, 5, (1, 3), (3, 1), (5, 2)]


def test_pack_random_shapes(pack: Kernel) -> None:
    check(pack, make_pack, 200)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("stride", [1, 2, 3, (1, 2)])
def test_pack_windows_and_strides(pack: Kernel, window: object, stride: object) -> None:
    check(pack, make_pack, 6, window=window, stride=stride)


@pytest.mark.parametrize("pad", [0, 1, 2, 6])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_pack_padding_and_dilation(pack: Kernel, pad: int, dilation: int) -> None:
    check(pack, make_pack, 9, pad=pad, dilation=dilation)


@pytest.mark.parametrize("image", [1, 2, (1, 17), (17, 1), (4, 4), (3, 16), (9, 15), (5, 33)])
def test_pack_images_around_a_line(pack: Kernel, image: object) -> None:
    check(pack, make_pack, 9, image=image)


@pytest.mark.parametrize("pixels", range(1, 65))
def test_pack_pixels_one_to_tile(pack: Kernel, pixels: int) -> None:
    check(pack, make_pack, 3, pixels=pixels, image=(11, 13), window=3, pad=1, stride=1, dilation=1)


def test_depthwise_random_shapes(depthwise: Kernel) -> None:
    check(depthwise, make_depthwise, 200)


@pytest.mark.parametrize("width", range(1, 36))
def test_depthwise_widths_around_a_vector(depthwise: Kernel, width: int) -> None:
    check(depthwise, make_depthwise, 6, image=(5, width))


@pytest.mark.parametrize("height", range(1, 9))
def test_depthwise_heights_around_the_window(depthwise: Kernel, height: int) -> None:
    check(depthwise, make_depthwise, 9, image=(height, 14))


@pytest.mark.parametrize("pad", [0, 1, 2, 6])
@pytest.mark.parametrize("window", WINDOWS)
def test_depthwise_windows_and_padding(depthwise: Kernel, window: object, pad: int) -> None:
    check(depthwise, make_depthwise, 6, window=window, pad=pad)


@pytest.mark.parametrize("weights", ["full", "minus", "edges", "pair_edge", "small", "zero"])
@pytest.mark.parametrize("activations", ["full", "edges", "zero"])
def test_depthwise_values_that_saturate_int16(depthwise: Kernel, weights: str, activations: str) -> None:
    check(depthwise, make_depthwise, 9, weights=weights, activations=activations)


@pytest.mark.parametrize("scale", ["tiny", "huge", "tie"])
@pytest.mark.parametrize("extreme_bias", [False, True])
def test_depthwise_requantize_at_its_limits(depthwise: Kernel, scale: str, extreme_bias: bool) -> None:
    check(depthwise, make_depthwise, 12, scale=scale, extreme_bias=extreme_bias)


def test_avg_pool_random_shapes(avg_pool: Kernel) -> None:
    check(avg_pool, make_pool, 200)


@pytest.mark.parametrize("image", [1, 2, 4, 7, (1, 15), (16, 1), 14, (20, 32)])
def test_avg_pool_global(avg_pool: Kernel, image: object) -> None:
    check(avg_pool, make_pool, 9, image=image, window="global")


@pytest.mark.parametrize("activations", ["full", "edges", "zero"])
@pytest.mark.parametrize("scale", ["tiny", "huge", "tie"])
def test_avg_pool_requantize_at_its_limits(avg_pool: Kernel, scale: str, activations: str) -> None:
    check(avg_pool, make_pool, 12, scale=scale, activations=activations)


def test_max_pool_random_shapes(max_pool: Kernel) -> None:
    check(max_pool, make_pool, 200)


@pytest.mark.parametrize("width", range(1, 36))
def test_max_pool_widths_around_a_vector(max_pool: Kernel, width: int) -> None:
    check(max_pool, make_pool, 6, image=(5, width))


@pytest.mark.parametrize("activations", ["full", "edges", "zero"])
@pytest.mark.parametrize("window", [2, 3, "global"])
def test_max_pool_extreme_values(max_pool: Kernel, window: object, activations: str) -> None:
    check(max_pool, make_pool, 9, window=window, activations=activations)
