"""Every error that Lacewing raises on purpose. Each message says what, where, and what to do."""

from __future__ import annotations

from typing import ClassVar

from lacewing.exit_codes import ExitCode


class LacewingError(Exception):
    """Base of all of them. ``exit_code`` is what the command line returns for it."""

    exit_code: ClassVar[ExitCode] = ExitCode.CHECK_FAILED


class ModelFormatError(LacewingError):
    """The file breaks an invariant of the format (docs/format.md).

    ``code`` and ``name`` identify the invariant, ``rule`` states it; ``where`` and ``index`` say which header,
    section, tensor, op or graph entry breaks it; ``found`` and ``wanted`` are the numbers that disagree, where
    there are two.
    """

    exit_code = ExitCode.BAD_MODEL

    def __init__(
        self, source: str, code: int, name: str, rule: str, where: str, index: int, found: int, wanted: int
    ) -> None:
        self.source = source
        self.code = code
        self.name = name
        self.rule = rule
        self.where = where
        self.index = index
        self.found = found
        self.wanted = wanted
        numbers = f" (found {found}, wanted {wanted})" if found != wanted else ""
        super().__init__(
            f"{source}: {where} {index} breaks invariant {code}, {name}: {rule}{numbers}. "
            "The file is damaged or was not written by Lacewing: fetch or convert it again."
        )

    def __reduce__(self) -> tuple[type[ModelFormatError], tuple[object, ...]]:
        """Rebuilds the error in another process: its arguments are not its message."""
        fields = (
            self.source,
            self.code,
            self.name,
            self.rule,
            self.where,
            self.index,
            self.found,
            self.wanted,
        )
        return type(self), fields


class ModelFileError(LacewingError, OSError):
    """The model file cannot be opened or read."""

    exit_code = ExitCode.BAD_MODEL


class ModelNotFoundError(ModelFileError, FileNotFoundError):
    """There is no such model file."""


class InputError(LacewingError, ValueError):
    """An argument or an array does not fit: name, dtype, shape, NaN, value range."""

    exit_code = ExitCode.BAD_INPUT


class LimitError(LacewingError, MemoryError):
    """The model needs more memory than ``max_memory`` or the machine allows; ``needed`` and ``allowed`` in bytes."""

    exit_code = ExitCode.LIMIT

    def __init__(self, message: str, needed: int, allowed: int) -> None:
        self.needed = needed
        self.allowed = allowed
        super().__init__(message)

    def __reduce__(self) -> tuple[type[LimitError], tuple[object, ...]]:
        """Rebuilds the error in another process: its arguments are not its message alone."""
        return type(self), (str(self), self.needed, self.allowed)


class KernelError(LacewingError):
    """LACEWING_TIER names a kernel tier that this machine or build does not have."""

    exit_code = ExitCode.USAGE


class SessionError(LacewingError, RuntimeError):
    """The session cannot run: it is closed, or belongs to another process."""

    exit_code = ExitCode.USAGE


class UnsupportedError(LacewingError, NotImplementedError):
    """Something that Lacewing does not do, by design or not yet."""

    exit_code = ExitCode.UNSUPPORTED


class MissingDependencyError(LacewingError, ImportError):
    """An optional package is not installed; the message names the pip command."""

    exit_code = ExitCode.USAGE


class UsageError(LacewingError):
    """A combination of command line arguments that makes no sense."""

    exit_code = ExitCode.USAGE


class OutputError(LacewingError, OSError):
    """A result could not be written."""

    exit_code = ExitCode.OUTPUT


class EngineError(LacewingError):
    """The engine refused a call that this package made; a bug in Lacewing: please report it."""
