"""What may import what, and that every package is shipped."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import lacewing
from lacewing._engine import ffi, lib

ROOT = Path(__file__).resolve().parents[3]
FORBIDDEN = {"torch", "onnx", "scipy", "sklearn", "PIL", "rich", "jinja2", "lacewing.converter"}
# Each adapter of a peer imports its own runtime, and is itself imported only when bench is asked for it.
PEERS = {"onnxruntime", "openvino", "ai_edge_litert", "MNN"}
RUNTIME = sorted(
    path for path in (ROOT / "runtime").rglob("*.py") if "web" not in path.relative_to(ROOT / "runtime").parts
)


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _prefixes(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[: i + 1]) for i in range(len(parts))}


@pytest.mark.parametrize("path", RUNTIME, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_runtime_imports_no_converter_and_no_framework(path: Path) -> None:
    allowed = PEERS if path.parent.name == "peers" else set()
    for name in _imports(path):
        assert not _prefixes(name) & (FORBIDDEN | (PEERS - allowed)), f"{path} imports {name}"


def test_there_are_modules_to_check() -> None:
    assert len(RUNTIME) > 30


def test_importing_everything_a_device_uses_loads_only_numpy_and_cffi() -> None:
    code = (
        "import sys, lacewing, lacewing.cli, lacewing.compat.onnxruntime, lacewing.compat.tflite\n"
        "lacewing.Session\n"
        "tops = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(tops & {'torch', 'onnx', 'onnxruntime', 'openvino', 'ai_edge_litert', 'MNN', 'scipy', 'PIL'}))\n"
        "print([name for name in sys.modules if name.startswith('lacewing.converter')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]


def _packages() -> set[str]:
    roots = {"lacewing": "runtime", "lacewing.converter": "converter", "lacewing.profiles": "profiles"}
    return {
        ".".join([name, *path.parent.relative_to(ROOT / folder).parts])
        for name, folder in roots.items()
        for path in (ROOT / folder).rglob("__init__.py")
    }


def test_every_package_is_listed_in_pyproject() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    start = text.index("packages = [") + len("packages = [")
    listed = {word.strip().strip('"') for word in text[start : text.index("]", start)].split(",")} - {""}
    assert listed == _packages()


def test_one_version() -> None:
    assert lacewing.__version__ == importlib.metadata.version("lacewing")
    assert lacewing.__version__ == ffi.string(lib.lw_version()).decode()


def test_the_library_is_small() -> None:
    from lacewing import _engine

    assert Path(_engine.__file__).stat().st_size <= 300 * 1024


def test_unknown_attributes_of_the_package_are_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sesion'"):
        lacewing.Sesion  # type: ignore[attr-defined]  # noqa: B018
    assert set(lacewing.__all__) == set(dir(lacewing))
    assert all(getattr(lacewing, name) is not None for name in lacewing.__all__)
