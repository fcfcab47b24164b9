"""What a committed figure says of the machine that it was measured on."""

from __future__ import annotations

import platform
import re
from pathlib import Path


def machine() -> str:
    """The processor's own name and the number of processors."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    family = re.search(r"^cpu family\s*:\s*(.+)$", text, re.MULTILINE)
    return f"{match.group(1) if match else platform.machine()}, family {family.group(1) if family else '?'}, {text.count('processor')} processors"
