"""The one thing that pyproject.toml cannot say: the C extension, built by cffi for the stable ABI."""

from setuptools import setup

setup(
    cffi_modules=["runtime/extension/build_ffi.py:ffibuilder"],
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
