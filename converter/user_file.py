"""Python files of the user, run as part of a conversion: recipes for training and for calibration."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any


def defined_in(path: Path, name: str) -> Any:
    """What the file at ``path`` defines as ``name``, None if nothing. Raises whatever the file raises.

    As with ``python path``, modules beside the file can be imported, also later, by what it defines.
    """
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return runpy.run_path(str(path)).get(name)
