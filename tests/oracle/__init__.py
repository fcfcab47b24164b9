"""docs/numerics.md in plain numpy, for whole models: slow, obvious, and written without looking at the engine."""

from tests.oracle.run import NanInput, Results, run, run_all

__all__ = ["NanInput", "Results", "run", "run_all"]
