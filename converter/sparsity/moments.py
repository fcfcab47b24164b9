"""Second moments of a layer's inputs, in the order of its weight blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.converter.ir import Node
from lacewing.format.description import QUAD
from lacewing.format.model import ceil_div

Array = npt.NDArray[Any]

_MIN_COLUMNS = 16384  # input patches per layer; more than a few times K adds nothing
_COLUMNS_PER_K = 8


@dataclass
class Moments:
    """Centred moments over the same input patches of the float network and of the network as it is so far.

    hessian [K,K] f64: E[x x'] of the current inputs; cross [K,K] f64: E[x_float x'] with the float inputs; both
    shrunk where there are few patches. K = K4 * 4, ordered (ky, kx, channel), channels padded to whole quads.
    """

    hessian: Array
    cross: Array


def collect(node: Node, current: Array, reference: Array, generator: np.random.Generator) -> Moments:
    """Moments of a conv's or gemm's inputs [N,C,H,W] (gemm: [N,C]) of both networks."""
    shape = node.weights["weight"].shape
    k = ceil_div(shape[1], QUAD) * QUAD * int(np.prod(shape[2:]))
    picks = _positions(node, current, max(_MIN_COLUMNS, _COLUMNS_PER_K * k), generator)
    x = _centred(_patches(node, current, picks))
    y = _centred(_patches(node, reference, picks))
    own, cross = ((v.T @ x / len(x)).astype(np.float64) for v in (x, y))
    return _shrunk(own, cross, k / (len(x) + k))


def _shrunk(own: Array, cross: Array, share: float) -> Moments:
    # Few patches for many inputs (a classifier sees one per image) leave most of the matrix unseen: taken as it is,
    # it would call whatever it did not see free to drop. Its diagonal is known far better than the rest.
    hessian = (1 - share) * own + share * np.diag(np.diag(own))
    return Moments(hessian, hessian + (1 - share) * (cross - own))


def _centred(columns: Array) -> Array:
    mean: Array = columns.mean(axis=0, dtype=np.float64)
    return np.asarray(columns - mean.astype(np.float32))


def _positions(
    node: Node, value: Array, limit: int, generator: np.random.Generator
) -> tuple[Array, Array, Array]:
    if node.op == "gemm":
        n = np.arange(len(value))
        return n, np.zeros_like(n), np.zeros_like(n)
    height, width = output_size(node, value.shape)
    total = len(value) * height * width
    flat = np.arange(total) if total <= limit else generator.choice(total, limit, replace=False)
    n, rest = np.divmod(flat, height * width)
    return n, *np.divmod(rest, width)


def output_size(node: Node, shape: tuple[int, ...]) -> tuple[int, int]:
    """(OH, OW) of a conv on an input of ``shape`` [N,C,H,W]."""
    kernel = node.weights["weight"].shape[2:]
    pads = node.attrs.get("pads", (0, 0, 0, 0))
    strides, dilations = node.attrs.get("strides", (1, 1)), node.attrs.get("dilations", (1, 1))
    sizes = [
        (shape[2 + i] + pads[i] + pads[2 + i] - (dilations[i] * (kernel[i] - 1) + 1)) // strides[i] + 1
        for i in range(2)
    ]
    return int(sizes[0]), int(sizes[1])


def _patches(node: Node, value: Array, picks: tuple[Array, Array, Array]) -> Array:
    """[patches][K] f32."""
    image = value if value.ndim == 4 else value[:, :, None, None]
    spare = -image.shape[1] % QUAD
    top, left, bottom, right = node.attrs.get("pads", (0, 0, 0, 0))
    padded = np.pad(image, ((0, 0), (0, spare), (top, bottom), (left, right)))
    kernel = node.weights["weight"].shape[2:] or (1, 1)
    strides, dilations = node.attrs.get("strides", (1, 1)), node.attrs.get("dilations", (1, 1))
    n, y, x = picks
    taps = [
        padded[n, :, y * strides[0] + ky * dilations[0], x * strides[1] + kx * dilations[1]]
        for ky in range(kernel[0])
        for kx in range(kernel[1])
    ]
    return np.concatenate(taps, axis=1)
