"""``lacewing doctor``: what this machine has, which kernels it gets, and why."""

from __future__ import annotations

import argparse
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any

from lacewing.commands import Command
from lacewing.commands.output import print_json, size
from lacewing.exit_codes import ExitCode

PACKAGES = ("numpy", "cffi", "onnx", "onnxruntime", "openvino", "ai-edge-litert", "MNN", "torch")
# What each tier of a machine's kernels needs, as /proc/cpuinfo names it.
TIER_FEATURES = {
    "x86_64": {
        "avx2": ("avx2", "fma", "f16c", "bmi1", "bmi2"),
        "avxvnni": ("avx2", "avx_vnni"),
        "avx512vnni": ("avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_vnni"),
    },
    "aarch64": {"neon": ("asimd",), "dotprod": ("asimddp",), "i8mm": ("asimddp", "i8mm")},
}
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # other names of the same


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(args: argparse.Namespace) -> int:
    """Prints the report; exit code 1 if the engine cannot be loaded or has no usable tier."""
    report = examine()
    if args.json:
        print_json(report)
    else:
        for key, value in report.items():
            print(f"{key.replace('_', ' '):<20} {_shown(value)}")
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
        "missing_tiers": _missing(library.available_tiers()),
        "best_tier": library.best_tier(),
        "core_capacities": arguments.core_capacities(),
        "auto_threads": arguments.performance_cores(),
        "auto_threads_reason": "the cores of at least half the best capacity, among those that may be used",
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


def _tier_features() -> dict[str, tuple[str, ...]]:
    machine = platform.machine().lower()
    return TIER_FEATURES.get(MACHINES.get(machine, machine), {})


def _features() -> list[str]:
    """Of the features that kernels use, those that the processor has."""
    words = set((_cpu_field("flags") or _cpu_field("Features")).split())
    wanted = dict.fromkeys(feature for needs in _tier_features().values() for feature in needs)
    return [feature for feature in wanted if feature in words]


def _missing(available: list[str]) -> dict[str, str]:
    """The tiers of this architecture that cannot be used, and why."""
    features = _features()
    reasons = {}
    for tier, needs in _tier_features().items():
        lacking = [feature for feature in needs if feature not in features]
        if tier not in available:
            reasons[tier] = f"the processor lacks {', '.join(lacking)}" if lacking else "not in this build"
    return reasons


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
        return "; ".join(f"{name}: {found or 'not installed'}" for name, found in value.items()) or "none"
    if isinstance(value, list) and value and isinstance(value[0], int):  # "4 x 1024, 4 x 446"
        return ", ".join(f"{len(list(same))} x {number}" for number, same in groupby(value))
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, int) and value > 4096:
        return size(value)
    return "none" if value is None else str(value)


COMMAND = Command("doctor", "say what this machine has, which kernels it gets and why", add_arguments, run)
