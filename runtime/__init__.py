"""Lacewing: runs ``.lace`` models with the same bits on every machine. What a device imports.

``Session(path).run({name: array})`` is all that most programs need; docs/index.md has the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lacewing.errors import (
    EngineError,
    InputError,
    KernelError,
    LacewingError,
    LimitError,
    MissingDependencyError,
    ModelFileError,
    ModelFormatError,
    ModelNotFoundError,
    OutputError,
    SessionError,
    UnsupportedError,
    UsageError,
)

if TYPE_CHECKING:
    from lacewing.infos import LayerInfo, LayerResult, LayerTime, TensorInfo
    from lacewing.session import Session, verify

__version__ = "0.1.0"

# Loaded on first use, so that lacewing.format works before the extension is built.
_LAZY = {
    "Session": "lacewing.session",
    "verify": "lacewing.session",
    "TensorInfo": "lacewing.infos",
    "LayerInfo": "lacewing.infos",
    "LayerResult": "lacewing.infos",
    "LayerTime": "lacewing.infos",
}

__all__ = [
    "EngineError",
    "InputError",
    "KernelError",
    "LacewingError",
    "LayerInfo",
    "LayerResult",
    "LayerTime",
    "LimitError",
    "MissingDependencyError",
    "ModelFileError",
    "ModelFormatError",
    "ModelNotFoundError",
    "OutputError",
    "Session",
    "SessionError",
    "TensorInfo",
    "UnsupportedError",
    "UsageError",
    "__version__",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'lacewing' has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
