"""The browser's modules give the bytes of the other machines, refuse what these refuse, and stay small."""

from __future__ import annotations

import ctypes
import json
import random
import re
import subprocess
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from lacewing.selftest.models import MODELS
from lacewing.session import Session as NativeSession
from tests.conformance.inputs import vector_inputs
from tests.conformance.make_vectors import FOLDER, INDEX, digests
from tests.fuzz import mutations
from tests.golden.base import base_model
from tests.golden.make_bad import BAD
from tests.models import random_inputs
from tests.unit.engine import library
from tests.wasm.module import BUILD, MODULES, ROOT, Instance, RefusedError, Session, build

VECTORS: dict[str, Any] = json.loads(INDEX.read_text())
RAW_LIMIT, BROTLI_LIMIT = 100_000, 40_000  # bytes
# How a module runs: alone, and relaxed also with the results that the specification calls deterministic.
WAYS = [(name, deterministic) for name in MODULES for deterministic in (False, True)][1:]


@pytest.mark.parametrize(("name", "deterministic"), WAYS)
def test_conformance_vectors(name: str, deterministic: bool) -> None:
    """All of them, each in an instance of its own."""
    wrong = []
    for vector, wanted in VECTORS.items():
        session = Session(name, (FOLDER / f"{vector}.lace").read_bytes(), deterministic)
        if digests(session.run(vector_inputs(session.model, wanted["seed"]))) != wanted["outputs"]:
            wrong.append(vector)
    assert not wrong


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("network", MODELS)
def test_networks(network: str, name: str) -> None:
    """Whole small networks against the native engine, twice in the same instance."""
    model = MODELS[network]()
    session, native = Session(name, model.to_bytes()), NativeSession(model.to_bytes())
    for seed in range(2):
        inputs = random_inputs(model, seed)
        wanted = native.run(inputs)
        for output, value in session.run(inputs).items():
            assert value.tobytes() == wanted[output].tobytes(), output


def _native_verdict(lib: ctypes.CDLL, file: bytes) -> tuple[int, str, int, float, float]:
    error, copy = library.Error(), library.aligned_copy(file)
    lib.lw_verify(ctypes.c_void_p(copy.ctypes.data), ctypes.c_size_t(len(copy)), ctypes.byref(error))
    where = error.where.decode() if error.where else ""
    return error.status, where, error.index, float(error.found), float(error.wanted)


def test_hostile_files_meet_the_native_verdict() -> None:
    """The golden bad files and a sample of damaged ones, all in one instance, which works to the end."""
    lib, rng = library.load(), random.Random(1)
    base = base_model().to_bytes()
    damaged = list(chain(mutations.field_values(base), mutations.whole_truncations(base)))
    files = [(path.name, path.read_bytes()) for path in sorted(BAD.glob("*.lace"))]
    files += rng.sample(damaged, 600) + list(mutations.random_bytes(1, 100)) + [("the base itself", base)]
    instance = Instance(MODULES[0])
    place = instance.reserve(max(len(file) for _, file in files))
    accepted = 0
    for label, file in files:
        instance.write(place, file)
        status = instance.call("lw_web_verify", place, len(file))
        fields = instance.fields("error")
        where = instance.read(int(fields["where"]), int(fields["where_bytes"])).decode()
        verdict = (status, where, int(fields["index"]), fields["found"], fields["wanted"])
        assert verdict == _native_verdict(lib, file), label
        accepted += status == 0
    assert status == 0 and accepted < len(files) / 2


def test_a_refused_file_and_a_limit_are_typed_errors() -> None:
    """Creating refuses as verifying does; the memory limit counts."""
    file = base_model().to_bytes()
    with pytest.raises(RefusedError) as refused:
        Session(MODULES[0], file[:-64])
    assert refused.value.name == "truncated"
    with pytest.raises(RefusedError) as limited:
        Session(MODULES[0], file, max_memory=1000)
    assert (limited.value.name, limited.value.wanted) == ("memory", 1000)


def test_an_input_out_of_range_leaves_the_session_usable() -> None:
    """A run that fails is reported, the next one counts."""
    model = base_model()
    session, inputs = Session(MODULES[0], model.to_bytes()), random_inputs(model, 0)
    wanted = session.run(inputs)
    broken = {name: array.copy() for name, array in inputs.items()}
    next(iter(broken.values())).view("u1")[...] = 255  # as u7 out of range, as f32 a NaN
    with pytest.raises(RefusedError, match="input_"):
        session.run(broken)
    assert all((session.run(inputs)[name] == array).all() for name, array in wanted.items())


def test_threads_that_come_late_change_nothing() -> None:
    """Shared memory, more threads than processors; the first run has one thread, the last ones all of them."""
    build()
    script, model = Path(__file__).parent / "threads.mjs", FOLDER / "network_residual.lace"
    command = ["node", script, BUILD / "lacewing-simd128-threads.wasm", model, "4", "2000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert json.loads(done.stdout) == {"different": 0, "came": 3, "left": 3}


@pytest.mark.parametrize("name", [f"{m}{s}" for m in MODULES for s in ("", "-threads")])
def test_size_and_surface(name: str) -> None:
    """Small enough to be fetched unnoticed; imports nothing but shared memory; exports what the header declares."""
    build()
    file = (BUILD / f"{name}.wasm").read_bytes()
    script = "console.log(zlib.brotliCompressSync(fs.readFileSync(0)).length)"
    raw, brotli = (
        len(file),
        int(subprocess.run(["node", "-e", script], input=file, capture_output=True, check=True).stdout),
    )
    print(f"{name}: {raw} bytes, {brotli} with brotli")
    assert raw <= RAW_LIMIT and brotli <= BROTLI_LIMIT
    threads = name.endswith("-threads")
    module = wasmtime.Module(wasmtime.Engine(), file)
    exports = {export.name for export in module.exports}
    assert [(i.module, i.name) for i in module.imports] == ([("env", "memory")] if threads else [])
    headers = "".join(path.read_text() for path in (ROOT / "runtime/engine/wasm").glob("*.h"))
    declared = set(re.findall(r"\b(lw_web_\w+)\(", headers)) - {"lw_web_parallel"}
    only_threads = {"lw_web_worker", "lw_web_stop"}
    globals_ = {"__heap_base", "__stack_pointer"} | (set() if threads else {"memory"})
    assert exports == (declared if threads else declared - only_threads) | globals_
