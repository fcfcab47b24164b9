"""The runtimes that ``bench`` compares with: one module each, imported only when it is asked for."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol, cast

from lacewing.errors import MissingDependencyError, ModelFileError


class Runner(Protocol):
    """A loaded model with its inputs in place."""

    dtype: str  # int8, fp32 ...
    target: str  # kernel tier as far as it is known, for example x86-avx2

    def run(self) -> None:
        """One inference; returns when the outputs are there."""


class PeerModule(Protocol):
    """What a module of this package has."""

    def open_model(self, path: Path, threads: int) -> Runner:
        """Loads a model. Raises ``LacewingError`` subclasses for what the user can mend."""


@dataclass(frozen=True)
class Peer:
    """A runtime: the module here, the distribution that pip installs, and the files that it reads."""

    name: str
    package: str
    imports: str  # the module that must be importable
    suffixes: tuple[str, ...]

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
                f"the peer {self.name} is not installed ({error}): pip install {self.package}"
            ) from error
        return cast(PeerModule, import_module(f"lacewing.bench.peers.{self.name}_peer"))

    def open_model(self, path: Path, threads: int) -> Runner:
        """Loads a model with this runtime; whatever the runtime raises becomes a ``ModelFileError``."""
        module = self.load()
        if not path.is_file():
            raise ModelFileError(f"{path}: no such file; check the path")
        try:
            return module.open_model(path, threads)
        except (RuntimeError, ValueError) as error:
            raise ModelFileError(f"{path}: {self.name} cannot load it: {error}") from error


LACEWING = Peer("lacewing", "lacewing", "lacewing.session", (".lace",))
PEERS = {
    peer.name: peer
    for peer in (
        Peer("onnxruntime", "onnxruntime", "onnxruntime", (".onnx",)),
        Peer("openvino", "openvino", "openvino", (".onnx", ".tflite")),
        Peer("litert", "ai-edge-litert", "ai_edge_litert.interpreter", (".tflite",)),
        Peer("mnn", "MNN", "MNN", (".onnx", ".mnn")),
    )
}


def python() -> str:
    """The interpreter to start children with."""
    return sys.executable
