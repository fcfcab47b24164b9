"""The attempts of README.md, one test each."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lacewing
from lacewing.cli import main
from lacewing.errors import LimitError, ModelFormatError
from lacewing.format import Model, Op, Tensor
from lacewing.format.description import MAX_TENSORS
from tests.golden import base
from tests.golden.base import base_model
from tests.golden.cases import all_cases
from tests.golden.surgery import assembled, fix_checksum, get, grown, put, section


def refusal(file: bytes | bytearray) -> str:
    """The name of the invariant that refuses the file."""
    with pytest.raises(ModelFormatError) as caught:
        lacewing.verify(bytes(file))
    return caught.value.name


def with_metadata(text: bytes) -> bytearray:
    """The base file with this metadata."""
    file = base_model().to_bytes()
    names = ("tensors", "ops", "graph", "names", "metadata", "data")
    sections = {n: file[o : o + s] for n in names for o, s in [section(file, n)]}
    return assembled(file, sections | {"metadata": text})


def golden(name: str, what: str) -> bytes:
    """One of the golden bad files."""
    return all_cases()[name, what]()


def test_shared_data() -> None:
    """Two operators, one set of weights."""
    file = base_model().to_bytes()
    first = get(file, f"op {base.CONV} data_offset")
    shared = bytearray(file)
    put(shared, f"op {base.RESIZE} data_offset", first)
    assert refusal(fix_checksum(shared)) == "data_range"


def test_section_overlap() -> None:
    """The metadata's entry points into the data."""
    file = bytearray(base_model().to_bytes())
    put(file, "section metadata offset", section(file, "data")[0])
    assert refusal(fix_checksum(file)) == "section_offset"


@pytest.mark.parametrize("other", [b"PK\x03\x04", b"#!/bin/sh\n", b"%PDF-1.7\n"])
def test_polyglot(other: bytes) -> None:
    """Another format's header before, behind and between."""
    file = base_model().to_bytes()
    line = other + bytes(64 - len(other))
    assert refusal(line + file) == "magic"
    assert refusal(file + line) == "truncated"
    hidden = bytearray(file)
    offset, size = section(file, "names")
    at = offset + size
    hidden[at : at + min(len(other), -at % 64)] = other[: -at % 64]
    assert refusal(fix_checksum(hidden)) == "padding"


@pytest.mark.parametrize("dims", [(65535,) * 4, (65535, 65535, 65535, 1), (1, 65535, 65535, 4096)])
def test_dims_overflow(dims: tuple[int, ...]) -> None:
    """Products past 2^32 and 2^64."""
    model = base_model()
    model.tensors[base.INPUT].dims = dims
    assert refusal(model.to_bytes()) == "tensor_dims"


def test_huge_block_count() -> None:
    """All bits set, few blocks stored."""
    assert refusal(golden("data_bytes", "more_mask_bits")) == "data_bytes"


def test_mask_count_wraps() -> None:
    """65535 x 65535 blocks, and a K4 that does not fit."""
    model = base_model()
    for kernel in (1024, 1023):
        for slot in ("kernel_h", "kernel_w"):
            model.ops[base.CONV].attributes[slot] = kernel
        assert refusal(model.to_bytes()) in ("op_attribute", "data_bytes")


def test_cycle() -> None:
    """An operator's result is its own input; and a later operator's."""
    assert refusal(golden("op_order", "cycle")) == refusal(golden("op_order", "later")) == "op_order"


def test_write_to_input() -> None:
    """The caller's array is const."""
    assert refusal(golden("graph_inputs", "written")) == "graph_inputs"


def test_output_twice() -> None:
    """One tensor, two arrays."""
    assert refusal(golden("graph_outputs", "twice")) == "graph_outputs"


def test_unwritten_output() -> None:
    """An output without an operator."""
    model = base_model()
    model.tensors.append(Tensor("leak", "f32", "plain", (1000,)))
    model.outputs.append(len(model.tensors) - 1)
    assert refusal(model.to_bytes()) == "graph_outputs"


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "%s%n%x", "0", "file:///dev/zero", "__proto__", "{0.__class__}"]
)
def test_names_as_indices(name: str) -> None:
    """They come back as they are."""
    model = base_model()
    for tensor in model.tensors[1:-1]:
        tensor.name = name
    model.tensors[base.OUTPUT].name = name
    session = lacewing.Session(model.to_bytes())
    assert list(session.run({"image": np.zeros((1, 3, 5, 5), np.float32)})) == [name]


def test_terminal_escape(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing that the file says reaches the terminal as a control character."""
    assert refusal(golden("name_utf8", "control")) == "name_utf8"
    assert refusal(with_metadata(b'{"a":"\x1b[2J"}')) == "name_utf8"
    path = tmp_path / "escape.lace"
    path.write_bytes(with_metadata(rb'{"a":"\u001b[2J\u009b","\u0007":1}'))
    main(["inspect", str(path)])
    printed = capfd.readouterr()
    assert "layout" in printed.out  # it did list the operators
    assert not any(control in printed.out + printed.err for control in ("\x1b[2J", "\x07", "\x9b"))


def test_lone_surrogate() -> None:
    """Half a character."""
    for text in (rb'{"a":"\ud800"}', rb'{"\uDFFF":1}', rb'{"a":"\ud83d\ude00"}'):
        assert refusal(with_metadata(text)) == "metadata"


def test_long_number() -> None:
    """5,000 digits; 32 characters are fine."""
    assert refusal(with_metadata(b'{"a":' + b"1" * 5000 + b"}")) == "metadata"
    session = lacewing.Session(bytes(with_metadata(b'{"a":' + b"1" * 32 + b"}")))
    assert session.metadata == {"a": int("1" * 32)}


def test_deep_metadata() -> None:
    """No stack to exhaust."""
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        text = b'{"a":' + opening * 100_000 + b"1" + closing * 100_000 + b"}"
        assert refusal(with_metadata(text)) == "metadata"


def test_mask_padding() -> None:
    """Seven spare bits a row."""
    assert refusal(golden("mask_bits", "past_k4")) == "mask_bits"


@pytest.mark.parametrize("what", ["input_channel", "output_channel", "bias", "scale", "depthwise"])
def test_padding_channels(what: str) -> None:
    """Weights that no result shows."""
    assert refusal(golden("weight_padding", what)) == "weight_padding"


@pytest.mark.parametrize("bits", [0x7FC00000, 0xFFC00001, 0x7F800000, 0xFF800000, 0x80000000, 0, 0xBF800000])
def test_nan_scale(bits: int) -> None:
    """Everything that is not a positive finite number, in every place that holds one."""
    value = struct.unpack("<f", struct.pack("<I", bits))[0]
    assert refusal(_with_float("tensor", value)) == "tensor_scale"
    assert refusal(_with_float("attribute", value)) == "multiplier"
    assert refusal(_with_float("data", value)) == "multiplier"


def _with_float(place: str, value: float) -> bytearray:
    model = base_model()
    if place == "data":
        model.ops[base.CONV].data["scale"] = model.ops[base.CONV].data["scale"].copy()
        model.ops[base.CONV].data["scale"][2] = value
    file = bytearray(model.to_bytes())
    if place == "tensor":
        put(file, f"tensor {base.FEATURES} scale", value)
    if place == "attribute":
        put(file, "op 0 attributes[0]", struct.unpack("<I", struct.pack("<f", value))[0])
    return fix_checksum(file)


@pytest.mark.parametrize("value", [1e-45, 1.1e-38])
def test_denormal_scale(value: float) -> None:
    """The same places."""
    assert refusal(_with_float("tensor", value)) == "tensor_scale"
    assert refusal(_with_float("attribute", value)) == refusal(_with_float("data", value)) == "multiplier"


def test_accumulator() -> None:
    """At the bound it runs, one past it is refused."""
    model = base_model()
    conv = model.ops[base.CONV].data
    magnitude = int(np.abs(conv["weights"][:4, 0].astype(int)).sum())
    conv["scale"] = conv["scale"].copy()
    conv["scale"][0] = 0.5
    for bias, fits in ((2**31 - 1 - 127 * magnitude, True), (2**31 - 127 * magnitude, False)):
        conv["bias"] = conv["bias"].copy()
        conv["bias"][0] = bias
        if fits:
            lacewing.verify(model.to_bytes())
        else:
            assert refusal(model.to_bytes()) == "accumulator"


def test_cost_bomb() -> None:
    """Refused quickly."""
    began = time.monotonic()
    assert refusal(golden("cost", "pooling")) == "cost"
    assert time.monotonic() - began < 1


def _resize_bomb(copies: int) -> bytes:
    """One pixel to 8192 x 8192, ``copies`` times side by side."""
    model = Model(inputs=[0], outputs=[1])
    model.tensors = [
        Tensor("x", "u7", "plain", (1, 4, 1, 1), 1.0, 0),
        Tensor("y", "u7", "plain", (1, 4, 1, 1), 1.0, 0),
    ]
    model.tensors.append(Tensor("q", "u7", "quads", (1, 4, 1, 1), 1.0, 0))
    model.ops = [Op("layout", "", [0], 2)]
    large, small = (1, 4, 8192, 8192), (1, 4, 1, 1)
    zeros = {"row_low": np.zeros(8192, np.uint16), "col_low": np.zeros(8192, np.uint16)}
    window: dict[str, float | int] = {"kernel_h": 1, "kernel_w": 1, "stride_h": 8192, "stride_w": 8192}
    pads = {f"pad_{side}": 0 for side in ("top", "left", "bottom", "right")}
    grown_up = []
    for _ in range(copies):
        grown_up.append(len(model.tensors))
        model.tensors.append(Tensor("", "u7", "quads", large, 1.0, 0))
        model.ops.append(Op("resize", "", [2], grown_up[-1], {"mode": 0}, zeros))
    ends = []
    for tensor in grown_up:
        ends.append(len(model.tensors))
        model.tensors.append(Tensor("", "u7", "quads", small, 1.0, 0))
        model.ops.append(Op("max_pool", "", [tensor], ends[-1], window | pads))
    total = ends[0]
    for end in ends[1:]:
        model.tensors.append(Tensor("", "u7", "quads", small, 1.0, 0))
        clamp = {"clamp_min": 0, "clamp_max": 127}
        model.ops.append(
            Op(
                "add",
                "",
                [total, end],
                len(model.tensors) - 1,
                {"multiplier0": 1.0, "multiplier1": 1.0} | clamp,
            )
        )
        total = len(model.tensors) - 1
    model.ops.append(Op("layout", "", [total], 1))
    return model.to_bytes()


@pytest.mark.parametrize(("copies", "least"), [(1, 1 << 28), (40, 40 << 28)])
def test_resize_and_arena_bomb(copies: int, least: int) -> None:
    """Legal, and stopped by the caller's limit with the exact figure, before memory is taken."""
    with pytest.raises(LimitError) as caught:
        lacewing.Session(_resize_bomb(copies), max_memory=64 << 20)
    assert caught.value.needed >= least
    assert caught.value.allowed == 64 << 20


def test_many_tensors() -> None:
    """A chain of as many reshapes as there can be."""
    count = MAX_TENSORS - 1
    model = Model(inputs=[0], outputs=[count])
    model.tensors = [Tensor("x" if i == 0 else "y", "f32", "plain", (1,)) for i in range(count + 1)]
    model.ops = [Op("reshape", "", [i], i + 1) for i in range(count)]
    file = model.to_bytes()
    began = time.process_time()
    session = lacewing.Session(file)
    result = session.run({"x": np.array([3.5], np.float32)})["y"]
    assert time.process_time() - began < 5
    assert result[0] == np.float32(3.5)


@pytest.mark.parametrize("kind", [bytearray, lambda file: memoryview(bytearray(file))])
def test_changed_after_check(kind: Callable[[bytes], bytearray | memoryview]) -> None:
    """What the caller can still write is not what runs."""
    file = kind(base_model().to_bytes())
    inputs = {"image": np.ones((1, 3, 5, 5), np.float32)}
    session = lacewing.Session(file)
    before = session.run(inputs)["result"].copy()
    for i in range(len(file)):
        file[i] = 0xFF
    assert np.array_equal(session.run(inputs)["result"], before)


def test_names_do_not_grow() -> None:
    """Bytes of the names section that no record claims."""
    assert refusal(grown(base_model().to_bytes(), "names", b"hidden")) == "name_range"
