"""The compiled extension (build_ffi.py): cffi's ``ffi`` and the functions of lacewing.h as ``lib``."""

from typing import Any

ffi: Any
lib: Any
