"""The session: one model, ready to run."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from statistics import median
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

from lacewing import arguments, library
from lacewing._engine import ffi, lib
from lacewing.errors import InputError, SessionError
from lacewing.format import Model
from lacewing.format.description import DTYPES, OPERATOR_BY_KIND
from lacewing.infos import Array, LayerInfo, LayerResult, LayerTime, TensorInfo
from lacewing.library import Source

_NUMPY_NAMES = {DTYPES["u7"]: "uint8", DTYPES["f32"]: "float32"}


def verify(model: Source) -> None:
    """Checks a ``.lace`` file (path or bytes) against every invariant of the format; safe on hostile files.

    Raises ``ModelFormatError`` for the first invariant that it breaks, ``ModelNotFoundError`` or
    ``ModelFileError`` if it cannot be read.
    """
    file, source = library.read_model(model)
    error = ffi.new("lw_error *")
    status = lib.lw_verify(library.address(file), file.size, error)
    if status:
        raise library.failure(status, error, source)


class Session:
    """A verified model and the memory it runs in.

    ``model``: a path (mapped read-only; the file must not change while the session is open) or bytes (copied only
    if they are mutable or not on a 64-byte address). ``threads``: None is one thread unless the environment sets
    LACEWING_THREADS; a number; "auto" or 0 for the performance cores. ``max_memory``: bytes of work memory that
    the model may take, by default half of the machine's. LACEWING_TIER in the environment forces a kernel tier.

    Runs from several Python threads are safe and happen one after the other; the GIL is released while the engine
    runs. After an error the session can be used again. It cannot be pickled, and a session with several threads
    cannot be used in a forked child: make a new one there.

    Raises ``ModelFormatError``, ``ModelNotFoundError``, ``ModelFileError``, ``LimitError``, ``KernelError``;
    ``InputError`` for wrong arguments.
    """

    def __init__(
        self, model: Source, threads: int | str | None = None, max_memory: int | None = None
    ) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._process = os.getpid()
        self._threads = arguments.thread_count(threads)
        self._file, self._source = library.read_model(model)
        self._error = ffi.new("lw_error *")
        self._options = ffi.new("lw_options *")
        self._options.max_memory = arguments.memory_limit(max_memory)
        self._options.tier = library.tier_from_environment()
        self._options.workers = self._threads
        self._create()
        self._inputs = tuple(_tensor(lib.lw_model_input(self._model, i)) for i in range(self._input_count))
        self._outputs = tuple(_tensor(lib.lw_model_output(self._model, i)) for i in range(self._output_count))
        self._input_names = [info.name for info in self._inputs]
        self._output_names = [info.name for info in self._outputs]
        self._input_pointers = ffi.new("void *[]", self._input_count)
        self._output_pointers = ffi.new("void *[]", self._output_count)
        self._layers: tuple[LayerInfo, ...] | None = None
        self._parsed: Model | None = None

    def _create(self) -> None:
        if self._threads > 1:
            self._start_pool()
        need = ffi.new("size_t *")
        file = library.address(self._file)
        self._check(lib.lw_model_memory(file, self._file.size, self._options, need, self._error))
        self._memory = library.aligned(int(need[0]))
        model = ffi.new("lw_model **")
        self._check(
            lib.lw_model_create(
                file,
                self._file.size,
                self._options,
                library.address(self._memory),
                self._memory.size,
                model,
                self._error,
            )
        )
        self._model = model[0]
        self._input_count = int(lib.lw_model_input_count(self._model))
        self._output_count = int(lib.lw_model_output_count(self._model))

    def _start_pool(self) -> None:
        pool = lib.lw_pool_create(self._threads)
        if pool == ffi.NULL:
            raise SessionError(f"{self._threads} threads cannot be started; ask for fewer")
        self._options.parallel = ffi.addressof(lib, "lw_pool_parallel")
        self._options.parallel_context = pool
        self._finalizer = weakref.finalize(self, _destroy_pool, pool, self._process)

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """The graph inputs, in order."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """The graph outputs, in order."""
        return self._outputs

    @property
    def threads(self) -> int:
        """Threads that a run uses."""
        return self._threads

    @property
    def tier(self) -> str:
        """The kernel tier that the session asks for; a layer without such a kernel takes a lower one."""
        forced = self._options.tier != lib.LW_TIER_AUTO
        return library.tier_name(self._options.tier) if forced else library.best_tier()

    @property
    def memory_bytes(self) -> int:
        """Work memory that the session holds, without the file."""
        return int(self._memory.size)

    @property
    def arena_bytes(self) -> int:
        """The part of the work memory that holds activations."""
        with self._lock:
            self._usable()
            return int(lib.lw_model_arena_bytes(self._model))

    @property
    def file_bytes(self) -> int:
        """Size of the model file."""
        return int(self._file.size)

    def file_view(self) -> memoryview:
        """The model file's bytes, read-only, without a copy."""
        with self._lock:
            self._usable()
            return self._file.data.toreadonly()

    @property
    def metadata(self) -> dict[str, Any]:
        """The file's metadata, e.g. the preprocessing that the converter recorded."""
        return dict(self.records().metadata)

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """The operators in the order in which they run, with the kernels chosen on this machine."""
        with self._lock:
            self._usable()
            if self._layers is None:
                count = int(lib.lw_model_op_count(self._model))
                self._layers = tuple(_layer(lib.lw_model_op(self._model, i)) for i in range(count))
            return self._layers

    def run(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Runs the model once: every graph output by name.

        ``inputs`` has exactly the graph inputs, each with the shape and dtype that ``inputs`` says. C-contiguous
        aligned arrays are used in place; others are copied for their layout, never converted. ``outputs`` may
        give arrays to write some of the results into (writable, C-contiguous, sharing no memory); the others are
        new. Raises ``InputError`` (names, dtype, shape, NaN, a uint8 value above 127), ``SessionError``.
        """
        with self._lock:
            self._usable()
            given = self._bind_inputs(inputs)
            results = self._bind_outputs(given, outputs)
            self._check(lib.lw_run(self._model, self._input_pointers, self._output_pointers, self._error))
            return dict(zip(self._output_names, results, strict=True))

    def timed_run(self, inputs: Mapping[str, Array]) -> list[LayerTime]:
        """Runs once and says how long each operator took. Raises as ``run`` does."""
        layers = self.layers
        with self._lock:
            self._usable()
            given = self._bind_inputs(inputs)
            results = self._bind_outputs(given, None)
            ends = np.zeros(len(layers), np.uint64)  # [operators] nanoseconds
            stamps = ffi.new("lacewing_stamps *")
            stamps.nanoseconds = ffi.cast("uint64_t *", ends.ctypes.data)
            stamps.capacity = len(layers)
            start = ffi.new("uint64_t *")
            pointers = (self._input_pointers, self._output_pointers)
            self._check(lib.lacewing_run_stamped(self._model, *pointers, self._error, stamps, start))
            del results
        edges = [int(start[0]), *(int(end) for end in ends)]
        return [
            LayerTime(layer.name, layer.kernel, (edges[i + 1] - edges[i]) * 1e-9)
            for i, layer in enumerate(layers)
        ]

    def profile(self, inputs: Mapping[str, Array], runs: int = 20) -> list[LayerTime]:
        """The median of ``runs`` timed runs per operator, after one warm-up. Raises as ``run`` does."""
        if runs < 1:
            raise InputError(f"runs is {runs}; give at least 1")
        self.run(inputs)
        rounds = [self.timed_run(inputs) for _ in range(runs)]
        return [
            LayerTime(layer.name, layer.kernel, median(times[i].seconds for times in rounds))
            for i, layer in enumerate(self.layers)
        ]

    def trace(self, inputs: Mapping[str, Array], runs: int = 1) -> dict[str, Any]:
        """A trace of ``runs`` runs that chrome://tracing and Perfetto open (JSON-able). Raises as ``run`` does."""
        from lacewing.trace import chrome_trace

        return chrome_trace(self.layers, [self.timed_run(inputs) for _ in range(runs)])

    def layer_results(self, inputs: Mapping[str, Array]) -> list[LayerResult]:
        """Runs once and returns what every operator computed. Raises as ``run`` does.

        For comparisons and debugging: it copies every activation.
        """
        parsed = self.records()
        collected: list[LayerResult] = []

        def collect(op: int) -> None:
            record = parsed.ops[op]
            tensor = parsed.tensors[record.output]
            info = TensorInfo(
                tensor.name, tensor.dims, _NUMPY_NAMES[DTYPES[tensor.dtype]], tensor.scale, tensor.zero_point
            )
            array = np.empty(info.shape, info.numpy_dtype)
            lib.lw_model_read_result(self._model, op, library.address(array), array.nbytes)
            collected.append(LayerResult(record.name, record.kind, info, array))

        with self._lock:
            self._usable()
            given = self._bind_inputs(inputs)
            results = self._bind_outputs(given, None)
            self._run_observed(collect)
            del results
        return collected

    def _run_observed(self, collect: Callable[[int], None]) -> None:
        observer = _Observer(collect)
        handle = ffi.new_handle(observer)
        lib.lw_model_observe(self._model, lib.lacewing_observe, handle)
        try:
            self._check(lib.lw_run(self._model, self._input_pointers, self._output_pointers, self._error))
        finally:
            lib.lw_model_observe(self._model, ffi.NULL, ffi.NULL)
        if observer.error is not None:
            raise observer.error

    def _bind_inputs(self, inputs: Mapping[str, Array]) -> list[Array]:
        arguments.check_mapping(inputs, "inputs")
        if inputs.keys() != set(self._input_names):
            arguments.check_names(inputs, self._input_names, "input", all_of_them=True)
        arrays = [arguments.input_array(inputs[info.name], info) for info in self._inputs]
        for i, array in enumerate(arrays):
            self._input_pointers[i] = library.address(array)
        return arrays

    def _bind_outputs(self, inputs: list[Array], outputs: Mapping[str, Array] | None) -> list[Array]:
        given: Mapping[str, Array] = {}
        if outputs is not None:
            arguments.check_mapping(outputs, "outputs")
            arguments.check_names(outputs, self._output_names, "output", all_of_them=False)
            given = {
                o.name: arguments.output_array(outputs[o.name], o) for o in self._outputs if o.name in outputs
            }
            arguments.check_distinct(inputs, list(given.values()))
        arrays = [
            given[info.name] if info.name in given else np.empty(info.shape, info.numpy_dtype)
            for info in self._outputs
        ]
        for i, array in enumerate(arrays):
            self._output_pointers[i] = library.address(array)
        return arrays

    def records(self) -> Model:
        """The file's own records; data arrays are read-only views of the file."""
        with self._lock:
            self._usable()
            if self._parsed is None:
                self._parsed = library.parse(self._file, self._source)
            return self._parsed

    def _check(self, status: int) -> None:
        if status:
            raise library.failure(status, self._error, self._source, getattr(self, "_input_names", None))

    def _usable(self) -> None:
        if self._closed:
            raise SessionError(f"{self._source}: the session is closed; make a new one")
        if self._threads > 1 and os.getpid() != self._process:
            raise SessionError(
                f"{self._source}: a session with {self._threads} threads cannot cross a fork; "
                "make it in the child, or use threads=1"
            )

    def close(self) -> None:
        """Frees the memory and the threads, after a run that is going on. Closing twice is fine."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._threads > 1:
                self._finalizer()
            self._model = ffi.NULL
            self._parsed = None
            self._memory = np.empty(0, np.uint8)
            self._file = np.empty(0, np.uint8)

    def __enter__(self) -> Session:  # noqa: PYI034 - typing.Self came with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self._threads} thread{'s' if self._threads > 1 else ''}"
        shapes = ", ".join(f"{t.name} {t.dtype} {list(t.shape)}" for t in self._inputs)
        results = ", ".join(f"{t.name} {t.dtype} {list(t.shape)}" for t in self._outputs)
        return f"<lacewing.Session {self._source}: {shapes} -> {results}; {state}>"

    def __reduce__(self) -> NoReturn:
        raise SessionError("a session cannot be pickled or copied; send the model's path and make one there")


class _Observer:
    """Keeps an exception of the callback, which cannot pass through C."""

    def __init__(self, collect: Callable[[int], None]) -> None:
        self.collect = collect
        self.error: Exception | None = None


@ffi.def_extern()  # type: ignore[untyped-decorator]
def lacewing_observe(context: Any, op: int) -> None:
    """Called by the engine after each operator of an observed run."""
    observer: _Observer = ffi.from_handle(context)
    if observer.error is None:
        try:
            observer.collect(op)
        except Exception as error:  # noqa: BLE001 - raised again when the run is over
            observer.error = error


def _destroy_pool(pool: Any, process: int) -> None:
    # In a forked child the pool's threads do not exist: joining them would wait for ever.
    if os.getpid() == process:
        lib.lw_pool_destroy(pool)


def _tensor(info: Any) -> TensorInfo:
    shape = tuple(int(info.dims[i]) for i in range(info.rank))
    name = library.text(info.name, info.name_bytes)
    return TensorInfo(name, shape, _NUMPY_NAMES[info.dtype], float(info.scale), int(info.zero_point))


def _layer(info: Any) -> LayerInfo:
    return LayerInfo(
        library.text(info.name, info.name_bytes),
        OPERATOR_BY_KIND[info.kind].name,
        ffi.string(info.kernel).decode() if info.kernel != ffi.NULL else "",
        library.tier_name(info.tier),
        int(info.macs),
        int(info.kept_macs),
        int(info.weight_bytes),
    )
