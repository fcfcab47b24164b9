"""The runtimes that ``bench`` compares with: one module each, imported only when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol, cast

from lacewing.errors import LacewingError, MissingDependencyError, ModelFileError, ModelNotFoundError


class Runner(Protocol):
    """A loaded model with its inputs in place."""

    dtype: str  # int8, fp32 ...
    target: str  # kernel tier as far as it is known, for example x86-avx2

    def run(self) -> None:
        """One inference; returns when the outputs are there."""


class PeerModule(Protocol):
    """What a module of this package has; one that has ``prepare``, too, is marked in its ``Peer``."""

    def prepare(self, path: Path, folder: Path) -> Path:
        """The file to load instead of ``path``, made once in ``folder`` before anything is timed."""

    def open_model(self, path: Path, threads: int) -> Runner:
        """Loads a model. Raises ``LacewingError`` subclasses for what the user can mend."""


@dataclass(frozen=True)
class Peer:
    """A runtime: the module here, the distribution that pip installs, and the files that it reads."""

    name: str
    package: str
    imports: str  # the module that must be importable
    suffixes: tuple[str, ...]
    prepares: tuple[str, ...] = ()  # suffixes that the adapter first converts into the runtime's own format

    def installed(self) -> bool:
        """Whether the package is there; nothing is imported."""
        return self.version() != "not installed"

    def version(self) -> str:
        """The installed version, or "not installed"."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return "not installed"

    def load(self) -> PeerModule:
        """The adapter. Raises ``MissingDependencyError`` naming the pip command."""
        try:
            import_module(self.imports)
        except ImportError as error:
            raise MissingDependencyError(
                f"{self.name} cannot be imported ({error}): pip install {self.package}"
            ) from error
        return cast(PeerModule, import_module(f"lacewing.bench.peers.{self.name}_peer"))

    def prepare(self, path: Path, folder: Path) -> Path:
        """The file to load: ``path``, or what the adapter made of it in ``folder``. Raises as ``open_model``."""
        module = self.load()
        if not path.is_file():
            raise ModelNotFoundError(f"{path}: no such file; check the path")
        if path.suffix not in self.prepares:
            return path
        with _typed(path, self.name):
            return module.prepare(path, folder)

    def open_model(self, path: Path, threads: int) -> Runner:
        """Loads a model with this runtime; whatever the runtime raises becomes a ``ModelFileError``."""
        module = self.load()
        with _typed(path, self.name):
            return module.open_model(path, threads)


@contextmanager
def _typed(path: Path, peer: str) -> Iterator[None]:
    try:
        yield
    except LacewingError:
        raise
    except (RuntimeError, ValueError) as error:
        raise ModelFileError(f"{path}: {peer} cannot load it: {error}") from error


LACEWING = Peer("lacewing", "lacewing", "lacewing.session", (".lace",))
PEERS = {
    peer.name: peer
    for peer in (
        Peer("onnxruntime", "onnxruntime", "onnxruntime", (".onnx",)),
        Peer("openvino", "openvino", "openvino", (".onnx", ".tflite")),
        Peer("litert", "ai-edge-litert", "ai_edge_litert.interpreter", (".tflite",)),
        Peer("mnn", "MNN", "MNN", (".onnx", ".mnn"), prepares=(".onnx",)),
    )
}


def python() -> str:
    """The interpreter to start children with."""
    return sys.executable
