"""``lacewing selftest``: does this machine compute the same bits as all the others?"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lacewing.commands import Command
from lacewing.commands.output import print_json
from lacewing.exit_codes import ExitCode

THREADS = (1, 3)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(args: argparse.Namespace) -> int:
    """Runs every tier with one and several threads; exit code 1 if any digest differs from the committed one."""
    report = examine()
    if args.json:
        print_json(report)
    else:
        for check in report["checks"]:
            verdict = "ok" if check["ok"] else f"MISMATCH, found {check['found']}, wanted {check['wanted']}"
            print(f"{check['model']:<12} {check['tier']:<12} {check['threads']} thread(s)  {verdict}")
        print(report["line"])
    return ExitCode.OK if report["ok"] else ExitCode.CHECK_FAILED


def examine() -> dict[str, Any]:
    """Every check and the one line to paste, JSON-able."""
    import lacewing
    from lacewing.library import available_tiers
    from lacewing.selftest.run import digests, expected

    wanted = expected()
    checks: list[dict[str, Any]] = []
    for tier in available_tiers():
        for threads in THREADS:
            with _tier(tier):
                found = digests(threads)
            for model, digest in found.items():
                check = {
                    "model": model,
                    "tier": tier,
                    "threads": threads,
                    "found": digest,
                    "wanted": wanted[model],
                }
                checks.append(check | {"ok": digest == wanted[model]})
    good = all(check["ok"] for check in checks)
    summary = " ".join(f"{model}:{digest[:12]}" for model, digest in found.items())
    line = (
        f"lacewing {lacewing.__version__} selftest {'ok' if good else 'MISMATCH'} {platform.machine()} "
        f"tiers={','.join(available_tiers())} {summary}"
    )
    return {"ok": good, "line": line, "checks": checks}


@contextmanager
def _tier(name: str) -> Iterator[None]:
    before = os.environ.get("LACEWING_TIER")
    os.environ["LACEWING_TIER"] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ["LACEWING_TIER"]
        else:
            os.environ["LACEWING_TIER"] = before


COMMAND = Command(
    "selftest", "check that this machine computes the same bits as every other", add_arguments, run
)
