"""Turns a float graph and its quantization into a ``lacewing.format.Model``."""

from lacewing.converter.lowering.lower import lower

__all__ = ["lower"]
