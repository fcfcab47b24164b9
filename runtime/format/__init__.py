"""The ``.lace`` file: one description (``description.py``), a reader and a writer (``model.py``)."""

from lacewing.format.model import Model, Op, Tensor

__all__ = ["Model", "Op", "Tensor"]
