"""A device profile: what each unit of an operator's work costs on one kind of device. A file that people may write.

schema = 1
name = "x86-avx2"                 # what files converted for it record
tier = "avx2"                     # of the kernels
machine = "..."                   # where it was measured, for people
date = "2026-11-21"
pixel_step = 8                    # pixels that the kernels' inner loops go by

[nanoseconds.gemm-2x4]            # one table for each kernel of work.REQUIRED, one number for each of its units
call = 310.0
...
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lacewing.format import Model, Op
from lacewing.profiles.errors import ProfileError
from lacewing.profiles.work import BLOCKS, OPTIONAL, REQUIRED, WIDE_BLOCK, Conv, Work, conv_work, op_work

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA = 1
FALLBACK = "x86-avx512vnni"  # where no shipped profile is of this machine's tier
_TEXTS = ("name", "tier", "machine", "date")
_MOST_BYTES = 1 << 20
_MOST_NANOSECONDS = 1e9  # of one unit: beyond any device, and sums stay finite
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Profile:
    """A checked device profile; ``costs`` are nanoseconds by kernel and unit. One thread."""

    name: str
    tier: str
    machine: str
    date: str
    pixel_step: int
    costs: Mapping[str, Mapping[str, float]]

    @cached_property
    def blocks(self) -> tuple[str, ...]:
        """The blocks that this device has kernels of their own for."""
        return (*BLOCKS, WIDE_BLOCK) if f"gemm-{WIDE_BLOCK}" in self.costs else BLOCKS

    def nanoseconds(self, work: Iterable[Work]) -> float:
        """How long the work takes."""
        return sum(self.costs[w.kernel][unit] * n for w in work for unit, n in w.amounts.items())

    def conv(self, conv: Conv, block: str, kept: float = 0) -> float:
        """Nanoseconds of a convolution that keeps ``kept`` blocks "RxC", or of the "dense" one."""
        if block == WIDE_BLOCK and block not in self.blocks:
            block, kept = "4x4", 2 * kept
        return self.nanoseconds(conv_work(conv, block, kept, self.pixel_step))

    def op(self, model: Model, op: Op) -> float:
        """Nanoseconds of an operator of a file."""
        return self.nanoseconds(op_work(model, op, self.pixel_step, WIDE_BLOCK in self.blocks))


def shipped() -> list[str]:
    """The names of the profiles that come with Lacewing."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load(name: str) -> Profile:
    """A shipped profile by its name, or the file ``NAME.toml``. Raises ProfileError."""
    if name in shipped():
        return read(_FOLDER / f"{name}.toml")
    if name.endswith(".toml"):
        return read(Path(name))
    raise ProfileError(
        f"no device profile {name!r}; there are {', '.join(shipped())}, and files *.toml that "
        "`lacewing profile -o DEVICE.toml` measures"
    )


def for_this_machine() -> Profile:
    """The shipped profile that is named after this machine's best kernel tier, or FALLBACK. Raises ProfileError."""
    from lacewing.library import best_tier

    found = [name for name in shipped() if name.endswith(f"-{best_tier()}")]
    return load(found[0] if found else FALLBACK)


def for_file(metadata: Mapping[str, Any]) -> Profile:
    """The profile that a file records if it is a shipped one, else ``for_this_machine``. Raises ProfileError."""
    recorded = metadata.get("profile")
    return load(recorded) if recorded in shipped() else for_this_machine()


def read(path: Path) -> Profile:
    """The profile in a file. Raises ProfileError for whatever is wrong with it."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise ProfileError(f"{path}: over {_MOST_BYTES} bytes, this is no device profile")
    try:
        return parse(content.decode(), str(path))
    except UnicodeDecodeError as error:
        raise ProfileError(f"{path}: is not UTF-8 text (byte {error.start})") from error


def parse(text: str, source: str) -> Profile:
    """The profile that a TOML text holds. Raises ProfileError; source: what messages call it."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ProfileError(f"{source}: is not TOML: {error}") from error
    if document.get("schema") != SCHEMA:
        raise ProfileError(f"{source}: schema is {document.get('schema')!r}, this version reads {SCHEMA}")
    _check_keys(source, "", document, {"schema", "pixel_step", "nanoseconds", *_TEXTS}, set())
    for key in _TEXTS:
        if not isinstance(document[key], str) or not document[key].isprintable() or not document[key]:
            raise ProfileError(f"{source}: {key} is {document[key]!r}, it must be a line of text")
    step = document["pixel_step"]
    if type(step) is not int or not 1 <= step <= 64:
        raise ProfileError(f"{source}: pixel_step is {step!r}, it must be a whole number from 1 to 64")
    costs = _costs(source, document["nanoseconds"])
    name, tier, machine, day = (document[key] for key in _TEXTS)
    return Profile(name, tier, machine, day, step, costs)


def _costs(source: str, tables: Any) -> dict[str, dict[str, float]]:
    _check_keys(source, "nanoseconds", tables, set(REQUIRED), set(OPTIONAL))
    if len(OPTIONAL.keys() & tables.keys()) not in (0, len(OPTIONAL)):
        raise ProfileError(
            f"{source}: nanoseconds has some of {', '.join(OPTIONAL)}; give all of them or none"
        )
    costs: dict[str, dict[str, float]] = {}
    for kernel, table in tables.items():
        where = f"nanoseconds.{kernel}"
        _check_keys(source, where, table, set({**REQUIRED, **OPTIONAL}[kernel]), set())
        costs[kernel] = {unit: _number(source, f"{where}.{unit}", value) for unit, value in table.items()}
    return costs


def _number(source: str, where: str, value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= _MOST_NANOSECONDS:
        raise ProfileError(
            f"{source}: {where} is {value!r}, it must be a number from 0 to {_MOST_NANOSECONDS:g}"
        )
    return float(value)


def _check_keys(source: str, where: str, table: Any, required: set[str], optional: set[str]) -> None:
    place = where or "the file"
    if not isinstance(table, dict):
        raise ProfileError(f"{source}: {place} is no table")
    missing, unknown = sorted(required - table.keys()), sorted(table.keys() - required - optional)
    if missing or unknown:
        found = [f"lacks {', '.join(missing)}"] if missing else []
        found += [f"has unknown {', '.join(map(repr, unknown))}"] if unknown else []
        raise ProfileError(
            f"{source}: {place} {' and '.join(found)}; measure one with `lacewing profile -o DEVICE.toml`"
        )


def to_toml(profile: Profile) -> str:
    """The text that ``parse`` reads. Costs keep four digits: they are not known better."""
    head = {key: getattr(profile, key) for key in _TEXTS}
    lines = [f"schema = {SCHEMA}", *(f"{key} = {_quoted(value)}" for key, value in head.items())]
    lines.append(f"pixel_step = {profile.pixel_step}")
    for kernel, units in profile.costs.items():
        lines += ["", f"[nanoseconds.{kernel}]"]
        lines += [f"{unit} = {value:.4g}" for unit, value in units.items()]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # A TOML basic string: the names come from the operating system and the command line.
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
