"""Measures a device: operators of many sizes in synthetic models, timed one by one, and the costs that explain them.

Every model holds one shape in all its variants, so that a variant finds the caches as a layer of a network does: its
input was just used, its weights one run ago, with all the others' in between. One pixel's products read far more
weights than they compute with, and find them where other models have driven them: no run precedes theirs. Models take turns, and what counts of an operator's times is their lower
quartile: other programs on the device only ever add to them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lacewing import Session
from lacewing.commands.inputs import random_inputs
from lacewing.format import Model
from lacewing.format.description import BLOCK_ROWS, WEIGHT_MAX
from lacewing.profiles.fit import Sample, fit
from lacewing.profiles.profile import Profile
from lacewing.profiles.work import op_work
from lacewing.selftest.builder import Builder

Progress = Callable[[float], None]  # called with the share that is done

DENSITIES = (0.7, 0.5, 0.25, 0.1)
OTHER_SHAPES = ((16, 112), (32, 56), (96, 28), (96, 14), (320, 7), (16, 8))  # (channels, size) of other_model
PIXEL_STEPS = (4, 8, 16)  # that kernels may go by
_MOST_MACS = 40_000_000  # of a shape's dense convolution
_LEAST_MACS = 50_000
_LEAST_ROUNDS = 5
_SPREAD = 32.0  # standard deviation of weights whose channel's largest is 127
_WIDE_TIER = "i8mm"  # multiplies pairs of 4x4 blocks as one
_WARM_UP = 2  # rounds


class Shape(NamedTuple):
    """A square convolution."""

    inputs: int
    outputs: int
    size: int
    kernel: int
    stride: int

    def macs(self) -> int:
        """Dense multiply-accumulates."""
        return self.inputs * self.outputs * self.kernel**2 * (self.size // self.stride) ** 2


def shapes() -> list[Shape]:
    """The convolutions that are measured."""
    channels = (16, 32, 96, 256, 576, 1024)
    # Each size meets narrow, square, widening and narrowing layers; a full grid would say little more.
    pairs = [(c, o) for i, c in enumerate(channels) for j, o in enumerate(channels) if abs(i - j) in (0, 2)]
    found = [Shape(c, o, size, 1, 1) for size in (4, 7, 14, 28, 56, 112) for c, o in pairs]
    found += [Shape(c, o, size, 3, 1) for size in (4, 8, 16, 32, 56) for c, o in pairs]
    found += [
        Shape(c, o, size, k, 2) for size in (8, 16, 28) for k in (1, 3) for c, o in ((16, 32), (96, 256))
    ]
    found = [shape for shape in found if _LEAST_MACS <= shape.macs() <= _MOST_MACS]
    return found + [Shape(c, o, 1, 1, 1) for c in (64, 256, 1024) for o in (10, 64, 256, 1024)]


class _Bells(Builder):
    """Weights as networks have them, bell-shaped: AVX2 multiplies two blocks as one where they are small enough."""

    def _weights(self, shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
        return np.clip(self.random.standard_normal(shape) * _SPREAD, -WEIGHT_MAX, WEIGHT_MAX).astype(np.int8)


class _Pairs(_Bells):
    """Keeps blocks in pairs: what i8mm multiplies as one."""

    def _mask(self, blocks: npt.NDArray[np.int8], sparsity: float) -> npt.NDArray[np.bool_]:
        kept = super()._mask(blocks, sparsity)
        if sparsity:
            kept[:, 1::2] = kept[:, : kept.shape[1] // 2 * 2 : 2]
            blocks[..., 0, 0][kept & ~blocks.any(axis=(2, 3))] = 1
        return kept


def conv_model(shape: Shape, wide: bool) -> Model:
    """One convolution dense and with every block and density; wide: pairs of 4x4 blocks, too."""
    b = _Pairs(7) if wide else _Bells(7)
    x = b.image(shape.inputs, shape.size)
    variants = [(4, 0.0), *((rows, 1 - density) for rows in BLOCK_ROWS for density in DENSITIES)]
    if wide:
        variants = [(4, 1 - density) for density in DENSITIES]
    # In another order for each shape: whatever comes first finds the input in a farther cache.
    for i in np.random.RandomState(sum(shape)).permutation(len(variants)):
        rows, sparsity = variants[i]
        b.output(b.plain(b.conv(x, shape.outputs, shape.kernel, shape.stride, rows, sparsity)))
    return b.model


def other_model(channels: int, size: int) -> Model:
    """The operators that are no convolutions, on one image."""
    b = _Bells(8)
    x = b.image(channels, size)
    made = [b.depthwise(x, kernel, stride) for kernel in (3, 5, 7) for stride in (1, 2)]
    made += [b.add(x, x), b.mul(x, x), b.table(x, per_channel=False), b.concat(x, x), b.pad(x, (1, 1, 1, 1))]
    made += [b.pool(x, 2, 2, average=average) for average in (False, True)]
    made += [b.pool(x, size, size), b.pool(x, 3, 1, (1, 1, 1, 1), average=False)]
    made += [b.resize(x, size * 2, bilinear) for bilinear in (False, True)]
    for tensor in made:
        b.output(b.plain(tensor))
    plain = b.plain(x)
    b.output(b.transpose(plain, (0, 2, 3, 1)))
    flat = b.dequantize(b.reshape(plain, (channels, size * size)))
    b.output(b.softmax(flat))
    return b.model


def models() -> Iterator[Model]:
    """Everything that is measured on every device."""
    for shape in shapes():
        yield conv_model(shape, wide=False)
    for channels, size in OTHER_SHAPES:
        yield other_model(channels, size)


def measure(name: str, machine: str, seconds: float, progress: Progress) -> tuple[Profile, float]:
    """(this device's profile, median relative error of what it says about the convolutions), in about ``seconds``.

    Each operator is timed at least 5 times, however long that takes. One thread; LACEWING_TIER chooses another tier.
    """
    sessions: list[Session] = []
    try:
        for model in models():
            sessions.append(Session(model.to_bytes(), threads=1))
        tier = sessions[0].tier
        if tier == _WIDE_TIER:
            sessions += [Session(conv_model(s, wide=True).to_bytes(), threads=1) for s in shapes()]
        times = _times(sessions, seconds, progress)
        samples = {step: _samples(sessions, times, step) for step in PIXEL_STEPS}
    finally:
        for session in sessions:
            session.close()
    fits = {step: fit(samples[step]) for step in PIXEL_STEPS}
    step = min(fits, key=lambda step: float(np.square(fits[step][1]).sum()))
    costs, errors = fits[step]
    gemms = [e for e, s in zip(errors, samples[step], strict=True) if s.work[0].kernel.startswith("gemm")]
    profile = Profile(name, tier, machine, date.today().isoformat(), step, costs)
    return profile, float(np.median(np.abs(gemms)))


def _times(sessions: list[Session], seconds: float, progress: Progress) -> list[npt.NDArray[Any]]:
    """Per session [operators] nanoseconds."""
    inputs = [random_inputs(session.inputs) for session in sessions]
    rounds: list[list[list[float]]] = [[] for _ in sessions]
    start, done = time.monotonic(), 0
    while done < _WARM_UP + _LEAST_ROUNDS or time.monotonic() < start + seconds:
        for session, given, times in zip(sessions, inputs, rounds, strict=True):
            if session.records().tensors[0].dims[2:] != (1, 1):
                session.run(given)
            times.append([layer.seconds * 1e9 for layer in session.timed_run(given)])
        done += 1
        passed = (time.monotonic() - start) / seconds
        progress(min(1.0, passed, max(passed, done / (_WARM_UP + _LEAST_ROUNDS))))
    return [np.quantile(np.array(times[_WARM_UP:]), 0.25, axis=0) for times in rounds]


def _samples(sessions: list[Session], times: list[npt.NDArray[Any]], step: int) -> list[Sample]:
    samples = []
    for session, nanoseconds in zip(sessions, times, strict=True):
        model, wide = session.records(), session.tier == _WIDE_TIER
        samples += [
            Sample(op_work(model, op, step, wide), max(float(t), 1.0))
            for op, t in zip(model.ops, nanoseconds, strict=True)
        ]
    return samples
