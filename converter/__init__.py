"""Lacewing's converter: float networks in, verified ``.lace`` files out. Workstation only."""
