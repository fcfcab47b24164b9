"""Errors of the converter: each says what went wrong, where, and what to do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lacewing.errors import LacewingError
from lacewing.exit_codes import ExitCode


class ConversionError(LacewingError):
    """Base of every error the converter raises on purpose."""


class OptionError(ConversionError):
    """An option is missing, malformed or contradicts another one."""

    exit_code: ClassVar[ExitCode] = ExitCode.USAGE


class OutOfReach(OptionError):
    """A sparsity, time or size that no choice of blocks meets; ``beyond``: the least that could be, in parts of what was asked."""

    def __init__(self, message: str, beyond: float = math.inf) -> None:
        super().__init__(message)
        self.beyond = beyond


class ModelFileError(ConversionError):
    """The source model cannot be read: not a file, damaged, out of its folder, of an unknown version."""

    exit_code: ClassVar[ExitCode] = ExitCode.BAD_MODEL


@dataclass(frozen=True)
class Problem:
    """One reason why a network cannot be converted.

    ``attribute`` is the attribute or input at fault, empty when the operator as a whole is.
    """

    node: str
    op_type: str
    attribute: str
    reason: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.op_type} '{self.node}'" + (f", {self.attribute}" if self.attribute else "")
        return f"{where}: {self.reason}" + (f" ({self.hint})" if self.hint else "")


class UnsupportedModelError(ConversionError):
    """The network holds something Lacewing does not run; ``problems`` lists all of it, not the first only."""

    exit_code: ClassVar[ExitCode] = ExitCode.UNSUPPORTED

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{len(self.problems)} unsupported part(s) in the model:\n{lines}")


class TrainingError(ConversionError):
    """Training went wrong in a way that the user can mend: a recipe's function failed, or a loss is not finite."""


class CalibrationError(ConversionError):
    """Calibration data are missing, unreadable, of the wrong shape or type, or not finite."""

    exit_code: ClassVar[ExitCode] = ExitCode.BAD_INPUT
