"""The one thing that pyproject.toml cannot say: the C extension, built by cffi for the stable ABI."""

from __future__ import annotations

from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# -O3 is for kernels, for the verifier's loops and for pools, whose float results have only the reference's form. In the
# rest it only makes the library larger.
FAST = ("kernels_", "runtime/engine/src/", "runtime/engine/reference/pool.c")


class BuildExtension(build_ext):
    """Compiles every file with the flags of the extension, and all but the fast ones with -O2."""

    def build_extension(self, ext: Extension) -> None:
        """Builds one extension."""
        compile_one = self.compiler._compile

        def compile_with(obj: str, src: str, ext: str, cc: list[str], extra: list[str], pp: list[str]) -> Any:
            flags = extra if src.startswith(FAST) else ["-O2" if flag == "-O3" else flag for flag in extra]
            return compile_one(obj, src, ext, cc, flags, pp)

        self.compiler._compile = compile_with
        super().build_extension(ext)


setup(
    cffi_modules=["runtime/extension/build_ffi.py:ffibuilder"],
    cmdclass={"build_ext": BuildExtension},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
