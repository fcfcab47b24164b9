"""The commands of ``lacewing``, one module each, and the protocol that other packages join them through.

A package adds commands with an entry point in the group ``lacewing.commands`` that points at a
``Command`` or a sequence of them (plain tuples of the same four fields do, too). The command line loads it only when a command is asked
for that the runtime itself does not have, so the runtime imports none of them.

``run`` returns an ``ExitCode``; it raises ``LacewingError`` subclasses for what the user can mend, and the command
line prints those without a traceback. Every command gets ``--json`` from the command line itself (``args.json``):
with it, ``run`` prints one JSON document on stdout and nothing else there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

GROUP = "lacewing.commands"


class Command(NamedTuple):
    """One sub-command: ``add_arguments`` fills its parser, ``run`` does it and returns the exit code."""

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
