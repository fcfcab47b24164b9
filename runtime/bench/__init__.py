"""Measures models side by side: Lacewing and the runtimes that people would use instead."""
