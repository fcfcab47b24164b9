"""Group-sparse, quantization-aware fine-tuning: docs/training.md. Needs torch; the runtime never imports it."""

from lacewing.converter.training.recipe import Recipe

__all__ = ["Recipe"]
