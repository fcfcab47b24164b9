"""onnxruntime's interface on ``.lace`` files: ``import lacewing.compat.onnxruntime as ort``.

What cannot mean anything here is refused, with one exception: ``providers`` is accepted and only checked, because
every program passes it and Lacewing has one provider, the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lacewing.errors import InputError, UnsupportedError
from lacewing.infos import Array, TensorInfo
from lacewing.library import Source
from lacewing.session import Session

_TYPES = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}
PROVIDER = "CPUExecutionProvider"


@dataclass
class SessionOptions:
    """``intra_op_num_threads``: 0 is the performance cores, as in onnxruntime; None leaves it to LACEWING_THREADS.

    Setting any other attribute is an ``UnsupportedError``.
    """

    intra_op_num_threads: int | None = None

    def __setattr__(self, name: str, value: object) -> None:
        if name != "intra_op_num_threads":
            raise UnsupportedError(
                f"SessionOptions.{name} has no meaning in Lacewing; remove the line that sets it"
            )
        object.__setattr__(self, name, value)


@dataclass(frozen=True)
class NodeArg:
    """A graph input or output: ``type`` is "tensor(float)" or "tensor(uint8)", ``shape`` a list of int."""

    name: str
    type: str
    shape: list[int]


class InferenceSession:
    """A session; ``path_or_bytes`` is a ``.lace`` file.

    Raises as ``lacewing.Session``; ``InputError`` if ``providers`` lacks the CPU.
    """

    def __init__(
        self,
        path_or_bytes: Source,
        sess_options: SessionOptions | None = None,
        providers: Sequence[str | tuple[str, Mapping[str, object]]] | None = None,
    ) -> None:
        names = [p if isinstance(p, str) else p[0] for p in providers or [PROVIDER]]
        if PROVIDER not in names:
            raise InputError(f"providers {names}: Lacewing runs on the CPU; add {PROVIDER!r}")
        threads = sess_options.intra_op_num_threads if sess_options is not None else None
        self._session = Session(path_or_bytes, threads=threads)

    def get_inputs(self) -> list[NodeArg]:
        """The graph inputs, in order."""
        return [_argument(tensor) for tensor in self._session.inputs]

    def get_outputs(self) -> list[NodeArg]:
        """The graph outputs, in order."""
        return [_argument(tensor) for tensor in self._session.outputs]

    def get_providers(self) -> list[str]:
        """The CPU."""
        return [PROVIDER]

    def run(
        self, output_names: Sequence[str] | None, input_feed: Mapping[str, Array], run_options: None = None
    ) -> list[Array]:
        """The named outputs, all if None or empty, in that order.

        Raises ``InputError`` as ``Session.run`` does and for an unknown output, ``UnsupportedError`` for
        ``run_options``.
        """
        if run_options is not None:
            raise UnsupportedError("run_options have no meaning in Lacewing; pass None")
        known = [tensor.name for tensor in self._session.outputs]
        names = list(output_names or known)
        for name in names:
            if name not in known:
                raise InputError(f"the model has no output {name!r}; it has {', '.join(map(repr, known))}")
        results = self._session.run(input_feed)
        return [results[name] for name in names]


def get_available_providers() -> list[str]:
    """The CPU."""
    return [PROVIDER]


def _argument(tensor: TensorInfo) -> NodeArg:
    return NodeArg(tensor.name, _TYPES[tensor.dtype], list(tensor.shape))


__all__ = ["InferenceSession", "NodeArg", "SessionOptions", "get_available_providers"]
