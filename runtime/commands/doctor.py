"""``lacewing doctor``: what this machine has, which kernels it gets, and why."""

from __future__ import annotations

import argparse
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lacewing.commands import Command
from lacewing.commands.output import print_json, size
from lacewing.exit_codes import ExitCode

PACKAGES = ("numpy", "cffi", "onnx", "onnxruntime", "openvino", "ai-edge-litert", "MNN", "torch")
FEATURES = (
    ("avx2", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni")  # as /proc/cpuinfo names them
    + ("asimd", "asimddp", "i8mm")
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(args: argparse.Namespace) -> int:
    """Prints the report; exit code 1 if the engine cannot be loaded or has no usable tier."""
    report = examine()
    if args.json:
        print_json(report)
    else:
        for key, value in report.items():
            print(f"{key.replace('_', ' '):<16} {_shown(value)}")
    return ExitCode.OK if report["problem"] is None else ExitCode.CHECK_FAILED


def examine() -> dict[str, Any]:
    """Everything that the report says, JSON-able; ``problem`` is None when all is well."""
    import lacewing

    report: dict[str, Any] = {
        "lacewing": lacewing.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpu": _cpu_name(),
        "cpu_features": _features(),
        "cores": os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
    }
    return report | _engine()


def _engine() -> dict[str, Any]:
    try:
        from lacewing import _engine, arguments, library
    except ImportError as error:
        advice = "the extension is not built for this Python or machine: reinstall with pip install --force-reinstall"
        return {"problem": f"lacewing._engine cannot be loaded ({error}); {advice} lacewing"}
    path = Path(str(_engine.__file__))
    report = {
        "library": str(path),
        "library_size": path.stat().st_size,
        "engine": _engine.ffi.string(_engine.lib.lw_version()).decode(),
        "tiers": library.available_tiers(),
        "best_tier": library.best_tier(),
        "auto_threads": arguments.performance_cores(),
    }
    return report | _choice()


def _choice() -> dict[str, Any]:
    """The tier and thread count that a new session gets, and why."""
    from lacewing import arguments, library
    from lacewing.errors import LacewingError

    try:
        library.tier_from_environment()
        threads = arguments.thread_count(None)
    except LacewingError as error:
        return {"problem": str(error)}
    forced = os.environ.get("LACEWING_TIER")
    why = "LACEWING_TIER in the environment" if forced else "the best that this machine and build have"
    return {
        "tier": forced or library.best_tier(),
        "tier_reason": why,
        "threads": threads,
        "threads_reason": "LACEWING_THREADS in the environment"
        if os.environ.get("LACEWING_THREADS")
        else "one thread unless asked for more",
        "problem": None,
    }


def _cpu_name() -> str:
    for key in ("model name", "Hardware", "Model"):
        value = _cpu_field(key)
        if value:
            return value
    return platform.processor() or "unknown"


def _features() -> list[str]:
    words = set((_cpu_field("flags") or _cpu_field("Features")).split())
    return [feature for feature in FEATURES if feature in words]


def _cpu_field(key: str) -> str:
    """A field of /proc/cpuinfo; empty where there is no such file or field."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next(
        (line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), ""
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {found or 'not installed'}" for name, found in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, int) and value > 4096:
        return size(value)
    return "none" if value is None else str(value)


COMMAND = Command("doctor", "say what this machine has, which kernels it gets and why", add_arguments, run)
