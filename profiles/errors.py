"""What can be wrong with a device profile."""

from __future__ import annotations

from typing import ClassVar

from lacewing.errors import LacewingError
from lacewing.exit_codes import ExitCode


class ProfileError(LacewingError):
    """A device profile is unknown, cannot be read, or does not hold what it must; the message says where."""

    exit_code: ClassVar[ExitCode] = ExitCode.USAGE
