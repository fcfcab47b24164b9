"""128-entry tables: any function of one u7 value, computed in float64 and rounded once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import erf, expit

from lacewing.converter.quantization.parameters import Quantization
from lacewing.format.description import ACTIVATION_MAX

Array = npt.NDArray[Any]
Function = Callable[[Array, float, float], Array]

# name -> f(x, alpha, beta) on float64; alpha and beta as in ONNX.
UNARY: dict[str, Function] = {
    "sigmoid": lambda x, a, b: expit(x),
    "tanh": lambda x, a, b: np.tanh(x),
    "hard_sigmoid": lambda x, a, b: np.clip(a * x + b, 0.0, 1.0),
    "hard_swish": lambda x, a, b: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0),
    "silu": lambda x, a, b: x * expit(x),
    "gelu": lambda x, a, b: 0.5 * x * (1.0 + erf(x / np.sqrt(2.0))),
    "gelu_tanh": lambda x, a, b: 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3))),
    "leaky_relu": lambda x, a, b: np.where(x < 0, a * x, x),
    "elu": lambda x, a, b: np.where(x < 0, a * np.expm1(x), x),
    "softplus": lambda x, a, b: np.logaddexp(0.0, x),
    "mish": lambda x, a, b: x * np.tanh(np.logaddexp(0.0, x)),
    "erf": lambda x, a, b: erf(x),
    "exp": lambda x, a, b: np.exp(x),
    "sqrt": lambda x, a, b: np.sqrt(np.maximum(x, 0.0)),
    "abs": lambda x, a, b: np.abs(x),
    "neg": lambda x, a, b: -x,
}


def function_table(source: Quantization, target: Quantization, function: Callable[[Array], Array]) -> Array:
    """[128] u8: level of ``function`` in ``target`` for every level of ``source``."""
    reals = (np.arange(ACTIVATION_MAX + 1, dtype=np.float64) - source.zero_point) * source.scale
    levels = np.rint(function(reals) / target.scale) + target.zero_point
    clipped: Array = np.clip(levels, 0, ACTIVATION_MAX)
    return clipped.astype(np.uint8)


def rescale_table(source: Quantization, target: Quantization) -> Array:
    """[128] u8: the same reals in another quantization."""
    return function_table(source, target, lambda x: x)
