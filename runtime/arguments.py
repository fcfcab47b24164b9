"""Checks what callers pass: thread counts, memory limits, arrays. Every refusal names found and wanted."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lacewing._engine import ffi, lib
from lacewing.errors import InputError
from lacewing.infos import Array, TensorInfo

MAX_THREADS = int(lib.LW_POOL_MAX)
MAX_CORES = int(lib.LW_MAX_CORES)


def thread_count(threads: int | str | None) -> int:
    """Threads to use. None: LACEWING_THREADS if set, else 1. "auto" or 0: the performance cores.

    Raises ``InputError`` for anything that is not a number from 0 to ``MAX_THREADS`` or "auto".
    """
    origin = "threads"
    if threads is None:
        origin = "LACEWING_THREADS"
        threads = os.environ.get(origin, "") or 1
        if isinstance(threads, str) and threads.isascii() and threads.isdigit():
            threads = int(threads[:9])
    if threads == "auto":
        threads = 0
    if isinstance(threads, bool) or not isinstance(threads, int) or not 0 <= threads <= MAX_THREADS:
        raise InputError(f'{origin} is {threads!r}; give a number from 1 to {MAX_THREADS}, or "auto"')
    return threads or performance_cores()


def core_capacities(folder: str | None = None) -> list[int]:
    """Relative speed of each core, 1024 for the fastest; 0 for those that this process may not use.

    ``folder``: where Linux keeps its cores, by default /sys/devices/system/cpu.
    """
    capacities = ffi.new("uint32_t[]", MAX_CORES)
    place = ffi.NULL if folder is None else ffi.new("char[]", os.fsencode(folder))
    return list(ffi.unpack(capacities, lib.lw_core_capacities(place, capacities, MAX_CORES)))


def performance_cores() -> int:
    """Cores that "auto" uses: the fast ones of a big.LITTLE machine, within the process's affinity."""
    return min(max(1, int(lib.lw_performance_cores())), MAX_THREADS)


def memory_limit(max_memory: int | None) -> int:
    """Bytes of work memory that a model may take. None: half of the machine's memory.

    Raises ``InputError`` for anything that is not a positive whole number.
    """
    if max_memory is None:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    if isinstance(max_memory, bool) or not isinstance(max_memory, int) or not 0 < max_memory < 1 << 63:
        raise InputError(f"max_memory is {max_memory!r}; give a positive number of bytes, or None")
    return max_memory


def check_names(given: Iterable[str], wanted: list[str], what: str, all_of_them: bool) -> None:
    """Raises ``InputError`` for names that the model does not have and, if ``all_of_them``, for missing ones."""
    names = list(given)
    for name in names:
        if name not in wanted:
            close = difflib.get_close_matches(str(name), wanted, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise InputError(f"the model has no {what} {name!r}; it has {_list(wanted)}.{hint}")
    missing = [name for name in wanted if name not in names]
    if missing and all_of_them:
        raise InputError(f"{what} {_list(missing)} missing; the model wants {_list(wanted)}")


def check_mapping(value: object, what: str) -> None:
    """Raises ``InputError`` unless ``value`` maps names to arrays."""
    if not isinstance(value, Mapping):
        raise InputError(f"{what} must be a dict of name to array, not {type(value).__name__}")


def input_array(value: object, info: TensorInfo) -> Array:
    """``value`` itself if it is C-contiguous and aligned, else a copy in that layout.

    Raises ``InputError`` if it is not a numpy array of exactly the wanted dtype and shape: nothing is converted
    silently.
    """
    array = _checked(value, info, "input")
    return array if array.flags.c_contiguous and array.flags.aligned else np.require(array, None, ["C", "A"])


def output_array(value: object, info: TensorInfo) -> Array:
    """``value``, which the engine will write into: it must also be writable, C-contiguous and aligned."""
    array = _checked(value, info, "output")
    flags = array.flags
    if not (flags.c_contiguous and flags.aligned and flags.writeable):
        raise InputError(f"output {info.name!r}: the array must be writable, C-contiguous and aligned")
    return array


def check_distinct(inputs: list[Array], outputs: list[Array]) -> None:
    """Raises ``InputError`` if an output shares memory with another array of the same run."""
    for i, output in enumerate(outputs):
        if any(np.may_share_memory(output, other) for other in [*inputs, *outputs[:i]]):
            raise InputError("an output array shares memory with another array of the run; give it its own")


def _checked(value: object, info: TensorInfo, what: str) -> np.ndarray[Any, Any]:
    if not isinstance(value, np.ndarray):
        raise InputError(
            f"{what} {info.name!r}: found {type(value).__name__}, wanted a numpy array of {_spec(info)}"
        )
    if value.dtype != info.numpy_dtype:
        raise InputError(
            f"{what} {info.name!r}: found dtype {value.dtype}, wanted {info.dtype}; use array.astype({info.dtype!r})"
            + ("" if info.dtype == "float32" else " after quantizing to 0..127")
        )
    if value.shape != info.shape:
        raise InputError(f"{what} {info.name!r}: found shape {value.shape}, wanted {info.shape}")
    return value


def _spec(info: TensorInfo) -> str:
    return f"{info.dtype} {list(info.shape)}"


def _list(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)
