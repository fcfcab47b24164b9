"""The C engine as Python sees it: statuses become exceptions, files become memory, names become text."""

from __future__ import annotations

import mmap
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing._engine import ffi, lib
from lacewing.errors import (
    EngineError,
    InputError,
    KernelError,
    LacewingError,
    LimitError,
    ModelFileError,
    ModelFormatError,
    ModelNotFoundError,
)
from lacewing.format import Model, description

ALIGNMENT = description.ALIGNMENT
FIRST_RUN_ERROR = min(number for number, _, _ in description.RUN_ERRORS)
TIERS: dict[str, int] = {  # every tier that lacewing.h knows, by the name that the engine gives it
    ffi.string(lib.lw_tier_name(value)).decode(): value
    for value, enumerator in sorted(ffi.typeof("lw_tier").elements.items())
    if enumerator != "LW_TIER_AUTO"
}
Source = str | os.PathLike[str] | bytes | bytearray | memoryview


def available_tiers() -> list[str]:
    """Names of the kernel tiers that this machine and build have, slowest first."""
    return [name for name, value in TIERS.items() if lib.lw_tier_available(value)]


def best_tier() -> str:
    """Name of the tier that a session takes when nothing overrides it."""
    return tier_name(lib.lw_best_tier())


def tier_name(tier: int) -> str:
    """The engine's name for one of its tiers."""
    return str(ffi.string(lib.lw_tier_name(tier)).decode())


def tier_from_environment() -> int:
    """The engine's number for LACEWING_TIER, or for "the best" when it is not set.

    Raises ``KernelError`` if it names a tier that does not exist or that this machine or build does not have.
    """
    name = os.environ.get("LACEWING_TIER", "")
    if not name:
        return int(lib.LW_TIER_AUTO)
    if name not in available_tiers():
        reason = "this machine or build does not have it" if name in TIERS else "there is no such tier"
        raise KernelError(
            f"LACEWING_TIER={name}: {reason}. Available here: {', '.join(available_tiers())}. "
            "Unset it to get the best one."
        )
    return TIERS[name]


def aligned(size: int) -> npt.NDArray[np.uint8]:
    """``size`` bytes of uninitialised memory on the engine's alignment, [size] uint8.

    Raises ``LimitError`` if the machine does not have them.
    """
    try:
        block = np.empty(size + ALIGNMENT, np.uint8)
    except MemoryError as error:
        raise LimitError(
            f"{size} bytes of memory cannot be had; close other programs or use a smaller model", size, 0
        ) from error
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + size]


_NOTHING = aligned(ALIGNMENT)


def address(buffer: npt.NDArray[Any]) -> Any:
    """A ``void *`` to a C-contiguous array; the caller keeps the array alive."""
    # numpy does not tell the address of an empty array; the engine still wants an aligned one.
    return ffi.cast("void *", buffer.ctypes.data if buffer.size else _NOTHING.ctypes.data)


def read_model(source: Source) -> tuple[npt.NDArray[np.uint8], str]:
    """The file as [bytes] uint8 on the engine's alignment, and what messages call it.

    A path is mapped read-only: it must not change while in use. Bytes are used in place when their address
    allows, else copied. Raises ``ModelNotFoundError``, ``ModelFileError``; ``InputError`` for another type.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        view = memoryview(source)
        if not view.c_contiguous:
            raise InputError("the model's memoryview is not contiguous; pass bytes(view)")
        return _on_alignment(np.frombuffer(view.cast("B"), np.uint8)), "<bytes>"
    if not isinstance(source, (str, os.PathLike)):
        raise InputError(f"a model is a path or bytes, not {type(source).__name__}")
    return _map(Path(source)), os.fspath(source)


def _on_alignment(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    # A bytearray or a writable view could change under the engine after verification.
    if data.size and not data.flags.writeable and data.ctypes.data % ALIGNMENT == 0:
        return data
    copy = aligned(data.size)
    copy[:] = data
    copy.flags.writeable = False
    return copy


def _map(path: Path) -> npt.NDArray[np.uint8]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno())
            if not stat.S_ISREG(mode.st_mode):
                raise ModelFileError(f"{path}: not a regular file; give the path of a .lace file")
            if mode.st_size == 0:  # an empty file cannot be mapped; the verifier has the right words for it
                return aligned(0)
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except FileNotFoundError as error:
        raise ModelNotFoundError(f"{path}: no such file; check the path") from error
    except ModelFileError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelFileError(f"{path}: cannot be read: {reason}") from error


def text(name: Any, size: int) -> str:
    """A name in the file, which is not terminated."""
    return str(ffi.unpack(name, size).decode()) if size else ""


def failure(status: int, error: Any, source: str, input_names: list[str] | None = None) -> LacewingError:
    """The exception for a status that is not LW_OK; ``error`` is the filled ``lw_error``."""
    name = ffi.string(lib.lw_status_name(status)).decode()
    rule = ffi.string(lib.lw_status_rule(status)).decode()
    where = ffi.string(error.where).decode() if error.where != ffi.NULL else "file"
    if 0 < status < FIRST_RUN_ERROR:
        return ModelFormatError(source, status, name, rule, where, error.index, error.found, error.wanted)
    if status == lib.LW_E_MEMORY:
        return LimitError(
            f"{source}: needs {error.found} bytes of work memory, max_memory allows {error.wanted}; "
            "raise max_memory or use a smaller model",
            error.found,
            error.wanted,
        )
    if status in (lib.LW_E_INPUT_RANGE, lib.LW_E_INPUT_NAN) and input_names is not None:
        advice = "uint8 inputs hold 0..127" if status == lib.LW_E_INPUT_RANGE else "replace the NaN first"
        return InputError(f"{source}: input {input_names[error.index]!r}: {rule}; {advice}")
    if status == lib.LW_E_KERNEL:
        return KernelError(f"{source}: {rule}; available here: {', '.join(available_tiers())}")
    return EngineError(
        f"{source}: the engine refused a call: {name}: {rule} ({where} {error.index}, found {error.found}, "
        f"wanted {error.wanted}). This is a bug in Lacewing: please report it."
    )


def parse(file: npt.NDArray[np.uint8], source: str) -> Model:
    """The records of a verified file. Raises ``ModelFormatError`` if its metadata is not a JSON object."""
    try:
        model = Model.from_bytes(file.data)
        if isinstance(model.metadata, dict):
            return model
    except (ValueError, RecursionError):
        pass  # only the metadata is not fully checked by the verifier
    rule = next(i for i in description.INVARIANTS if i.name == "metadata")
    raise ModelFormatError(source, rule.number, rule.name, rule.rule, "section", 5, 0, 0)
