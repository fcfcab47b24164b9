"""The exit codes of the ``lacewing`` command: the one list."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process returns; stable, scripts may rely on them."""

    OK = 0
    CHECK_FAILED = 1  # the command ran and what it checked is not so, e.g. a selftest mismatch
    USAGE = 2  # wrong arguments, a missing package, a kernel tier that this machine does not have
    BAD_MODEL = 3  # the model file cannot be read or breaks an invariant
    BAD_INPUT = 4  # input arrays or data that do not fit the model
    UNSUPPORTED = 5  # the source model holds something that cannot be converted
    LIMIT = 6  # a memory limit, or the memory of the machine, does not suffice
    OUTPUT = 7  # the result could not be written
    INTERRUPTED = 130
