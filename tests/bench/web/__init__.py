"""The browser benchmark: `PYTHONPATH=tests/bench python -m web`."""
