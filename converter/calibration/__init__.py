"""Calibration data: images, arrays, iterators and recipes, one sample at a time."""

from lacewing.converter.calibration.preprocessing import Preprocessing
from lacewing.converter.calibration.sources import Dataset, open_dataset

__all__ = ["Dataset", "Preprocessing", "open_dataset"]
