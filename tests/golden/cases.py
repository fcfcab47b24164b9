"""One way or more to break each invariant, and nothing else: (invariant, what is done) -> the broken file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from lacewing.format import Model, Op, Tensor
from lacewing.format.description import ALIGNMENT, HEADER_BYTES, MAX_METADATA_BYTES, OPERATOR_BY_NAME
from lacewing.format.model import align
from tests.golden import base
from tests.golden.base import base_model
from tests.golden.surgery import fix_checksum, get, grown, put, section

FileEdit = Callable[[bytearray], bytes | bytearray]
ModelEdit = Callable[[Model], None]
Cases = dict[tuple[str, str], Callable[[], bytes]]


def _file(edit: FileEdit) -> Callable[[], bytes]:
    """Applies ``edit`` to the base file's bytes; the edit fixes the checksum itself."""
    return lambda: bytes(edit(bytearray(base_model().to_bytes())))


def _field(label: str, value: float) -> Callable[[], bytes]:
    """One field set, checksum fixed."""

    def edit(file: bytearray) -> bytearray:
        put(file, label, value)
        return fix_checksum(file)

    return _file(edit)


def _model(edit: ModelEdit) -> Callable[[], bytes]:
    """Applies ``edit`` to the base model; the writer does the rest."""

    def build() -> bytes:
        model = base_model()
        edit(model)
        return model.to_bytes()

    return build


def _data(op: int, part: str, index: int, value: float) -> Callable[[], bytes]:
    """One value of an operator's data set."""

    def edit(model: Model) -> None:
        array = model.ops[op].data[part].copy()
        array.reshape(-1)[index] = value
        model.ops[op].data[part] = array

    return _model(edit)


def _byte(name: str, index: int, value: int) -> Callable[[], bytes]:
    """One byte set, counted from a section's begin, checksum fixed."""

    def edit(file: bytearray) -> bytearray:
        file[section(file, name)[0] + index] = value
        return fix_checksum(file)

    return _file(edit)


def _after(name: str) -> Callable[[], bytes]:
    """The first padding byte after a section set."""
    size = section(base_model().to_bytes(), name)[1]
    assert size % ALIGNMENT
    return _byte(name, size, 1)


def frame_cases() -> Cases:
    """Header, section table, padding, checksum."""
    return {
        ("truncated", "empty"): lambda: b"",
        ("truncated", "half_header"): _file(lambda f: f[: HEADER_BYTES // 2]),
        ("truncated", "last_line_missing"): _file(lambda f: fix_checksum(f[:-ALIGNMENT])),
        ("truncated", "trailing_line"): _file(lambda f: fix_checksum(f + bytes(ALIGNMENT))),
        ("magic", "first_byte"): _field("header magic[0]", 0),
        ("magic", "text_mode_transfer"): _file(lambda f: bytes(f).replace(b"\r\n", b"\n\0")),
        ("version", "major"): _field("header version_major", 2),
        ("version", "minor"): _field("header version_minor", 1),
        ("reserved", "header"): _field("header reserved[31]", 1),
        ("reserved", "section"): _field("section ops reserved1", 1),
        ("reserved", "tensor"): _field("tensor 3 reserved1[27]", 1),
        ("reserved", "op"): _field("op 5 reserved0", 1),
        ("reserved", "attribute"): _field(f"op {base.LAYOUT} attributes[15]", 1),
        ("section_table", "count"): _field("header section_count", 7),
        ("section_table", "kind"): _field("section ops kind", 1),
        ("section_offset", "gap"): _field("section graph offset", 1 << 20),
        ("section_offset", "overlap"): _field(
            "section ops offset", get(base_model().to_bytes(), "section tensors offset")
        ),
        ("section_offset", "past_the_end"): _field("section data bytes", 1 << 40),
        ("section_offset", "wraps"): _field("section data bytes", (1 << 64) - 1),
        ("section_bytes", "half_record"): _field("section tensors bytes", len(base_model().tensors) * 64 - 1),
        ("section_bytes", "graph_without_counts"): _file(_short_graph),
        ("padding", "after_section"): _after("names"),
        ("padding", "after_part"): _byte("data", 4, 1),  # the mask has 2 rows of 2 bytes
        ("checksum", "one_bit"): _file(_flip_last_weight),
        ("checksum", "field"): _file(_flip_checksum),
    }


def _short_graph(file: bytearray) -> bytearray:
    put(file, "section graph bytes", 4)
    offset = section(file, "graph")[0]
    file[offset + 4 : offset + ALIGNMENT] = bytes(ALIGNMENT - 4)
    return fix_checksum(file)


def _flip_last_weight(file: bytearray) -> bytearray:
    file[section(file, "data")[0] + ALIGNMENT] ^= 1
    return file


def _flip_checksum(file: bytearray) -> bytearray:
    put(file, "header checksum", get(file, "header checksum") ^ (1 << 63))
    return file


def text_cases() -> Cases:
    """Names and metadata."""
    first = len(base_model().tensors[0].name)
    return {
        ("name_range", "longer"): _field("tensor 0 name_bytes", first + 1),
        ("name_range", "gap"): _field("tensor 1 name_offset", first + 1),
        ("name_range", "rest_unnamed"): _file(lambda f: grown(f, "names", b"x")),
        ("name_range", "out_of_section"): _field("op 5 name_bytes", 0xFFFFFFFF),
        ("name_utf8", "stray_byte"): _byte("names", 1, 0xFF),
        ("name_utf8", "overlong"): _file(_overlong),
        ("name_utf8", "control"): _byte("names", 0, 0x1B),
        ("name_utf8", "too_long"): _file(_long_name),
        ("name_utf8", "metadata"): _byte("metadata", 2, 0x07),
        ("name_unique", "outputs"): _model(_twin_outputs),
        ("name_unique", "empty_input"): _model(lambda m: setattr(m.tensors[base.INPUT], "name", "")),
        ("metadata", "not_an_object"): _file(lambda f: _metadata(f, b"[1,2]")),
        ("metadata", "cut_short"): _file(lambda f: _metadata(f, b'{"a":1')),
        ("metadata", "two_objects"): _file(lambda f: _metadata(f, b"{}{}")),
        ("metadata", "too_deep"): _file(lambda f: _metadata(f, b'{"a":' + b"[" * 500 + b"]" * 500 + b"}")),
    }


def _overlong(file: bytearray) -> bytearray:
    offset = section(file, "names")[0]
    file[offset : offset + 2] = b"\xc0\xaf"  # '/' in two bytes
    return fix_checksum(file)


def _long_name(file: bytearray) -> bytearray:
    last = len(base_model().ops) - 1
    extra = 1025 - int(get(file, f"op {last} name_bytes"))
    put(file, f"op {last} name_bytes", 1025)
    return grown(file, "names", b"x" * extra)


def _twin_outputs(model: Model) -> None:
    model.ops.append(Op("dequantize", "again", [base.PLAIN], len(model.tensors)))
    model.tensors.append(Tensor("result", "f32", "plain", model.tensors[base.OUTPUT].dims))
    model.outputs.append(len(model.tensors) - 1)


def _metadata(file: bytearray, text: bytes) -> bytearray:
    size = section(file, "metadata")[1]
    assert align(size) == ALIGNMENT
    out = grown(file, "metadata", bytes(max(0, len(text) - size)))
    offset = section(out, "metadata")[0]
    put(out, "section metadata bytes", len(text))
    out[offset : offset + align(len(text))] = text + bytes(align(len(text)) - len(text))
    return fix_checksum(out)


def too_much_metadata() -> bytes:
    """A megabyte that is not committed: built when the test runs."""
    file = bytearray(base_model().to_bytes())
    return bytes(_metadata(file, b'{"a":"' + b"x" * MAX_METADATA_BYTES + b'"}'))


def tensor_cases() -> Cases:
    """Tensor records."""
    scale = f"tensor {base.PIXELS} scale"
    return {
        ("tensor_dtype", "unknown"): _field("tensor 1 dtype", 2),
        ("tensor_layout", "unknown"): _field("tensor 1 layout", 2),
        ("tensor_layout", "f32_quads"): _field("tensor 6 layout", 1),
        ("tensor_layout", "quads_of_a_batch"): _field("tensor 1 dims[0]", 2),
        ("tensor_dims", "zero"): _field("tensor 1 dims[2]", 0),
        ("tensor_dims", "large"): _field("tensor 1 dims[2]", 65536),
        ("tensor_dims", "product"): _model(
            lambda m: setattr(m.tensors[0], "dims", (65535, 65535, 65535, 65535))
        ),
        ("tensor_dims", "rank_0"): _field("tensor 1 rank", 0),
        ("tensor_dims", "rank_5"): _field("tensor 1 rank", 5),
        ("tensor_dims", "unused"): _field("tensor 1 rank", 3),
        ("tensor_scale", "nan"): _field(scale, float("nan")),
        ("tensor_scale", "infinite"): _field(scale, float("inf")),
        ("tensor_scale", "denormal"): _field(scale, 1e-40),
        ("tensor_scale", "negative"): _field(scale, -0.5),
        ("tensor_scale", "zero"): _field(scale, 0.0),
        ("tensor_scale", "of_f32"): _field("tensor 0 scale", 1.0),
        ("tensor_zero_point", "128"): _field("tensor 1 zero_point", 128),
        ("tensor_zero_point", "of_f32"): _field("tensor 0 zero_point", 1),
    }


def graph_cases() -> Cases:
    """Graph lists and the flow of tensors."""
    ops, conv = len(base_model().ops), base.CONV
    return {
        ("graph_counts", "no_inputs"): _model(lambda m: m.inputs.clear()),
        ("graph_counts", "no_outputs"): _model(lambda m: m.outputs.clear()),
        ("graph_counts", "no_operators"): _model(lambda m: m.ops.clear()),
        ("graph_counts", "list_is_longer"): _field("graph [0]", 2),
        ("graph_counts", "sum_wraps"): _field("graph [0]", 0xFFFFFFFF),
        ("graph_inputs", "twice"): _model(lambda m: m.inputs.append(base.INPUT)),
        ("graph_inputs", "quads"): _model(lambda m: m.inputs.append(base.PIXELS)),
        ("graph_inputs", "no_such_tensor"): _field("graph [2]", 7),
        ("graph_inputs", "written"): _field(f"op {ops - 1} output", base.INPUT),
        ("graph_outputs", "twice"): _model(lambda m: m.outputs.append(base.OUTPUT)),
        ("graph_outputs", "quads"): _model(lambda m: m.outputs.append(base.MAPPED)),
        ("graph_outputs", "an_input"): _model(lambda m: m.outputs.append(base.INPUT)),
        ("graph_outputs", "no_such_tensor"): _field("graph [3]", 0xFFFFFFFF),
        ("op_kind", "zero"): _field("op 0 kind", 0),
        ("op_kind", "unknown"): _field("op 0 kind", 17),
        ("op_inputs", "none"): _field(f"op {conv} input_count", 0),
        ("op_inputs", "two"): _field(f"op {conv} input_count", 2),
        ("op_inputs", "no_such_tensor"): _field(f"op {conv} inputs[0]", 7),
        ("op_inputs", "spare_slot"): _field(f"op {conv} inputs[7]", 0),
        ("op_order", "cycle"): _field("op 1 inputs[0]", base.FEATURES),
        ("op_order", "later"): _field("op 1 inputs[0]", base.MAPPED),
        ("op_output", "twice"): _field(f"op {base.RESIZE} output", base.FEATURES),
        ("op_output", "no_such_tensor"): _field("op 0 output", 0xFFFFFFFF),
        ("tensor_unused", "never_read"): _model(_dead_end),
        ("tensor_unused", "never_written"): _model(
            lambda m: m.tensors.append(Tensor("x", "f32", "plain", (1,)))
        ),
    }


def _dead_end(model: Model) -> None:
    model.ops.append(Op("dequantize", "again", [base.PLAIN], len(model.tensors)))
    model.tensors.append(Tensor("unread", "f32", "plain", model.tensors[base.OUTPUT].dims))


def operator_cases() -> Cases:
    """Operators against their tensors."""
    conv, resize, table = base.CONV, base.RESIZE, base.TABLE
    bits = int.from_bytes
    return {
        ("op_dtype", "quantize_of_u7"): _model(_integer_input),
        ("op_dtype", "conv_to_plain_u7"): _model(_plain_conv),
        ("op_attribute", "stride_0"): _field(f"op {conv} attributes[2]", 0),
        ("op_attribute", "kernel_0"): _field(f"op {conv} attributes[0]", 0),
        ("op_attribute", "block_rows_3"): _field(f"op {conv} attributes[10]", 3),
        ("op_attribute", "encoding_2"): _field(f"op {conv} attributes[11]", 2),
        ("op_attribute", "pad_huge"): _field(f"op {conv} attributes[6]", 0xFFFFFFFF),
        ("op_attribute", "mode_2"): _field(f"op {resize} attributes[0]", 2),
        ("op_attribute", "table_channels"): _field(f"op {table} attributes[0]", 4),
        ("op_shape", "conv_stride"): _field(f"op {conv} attributes[2]", 2),
        ("op_shape", "kernel_larger_than_image"): _field(f"op {conv} attributes[0]", 8),
        ("op_shape", "channels"): _model(_other_channels),
        ("op_quantization", "scale"): _field(f"tensor {base.LARGER} scale", 0.25),
        ("op_quantization", "zero_point"): _field(f"tensor {base.LARGER} zero_point", 11),
        ("multiplier", "quantize_nan"): _field("op 0 attributes[0]", bits(b"\0\0\xc0\x7f", "little")),
        ("multiplier", "quantize_negative"): _field("op 0 attributes[0]", bits(b"\0\0\x80\xbf", "little")),
        ("multiplier", "quantize_denormal"): _field("op 0 attributes[0]", 1),
        ("multiplier", "conv_zero"): _data(conv, "scale", 0, 0.0),
        ("multiplier", "conv_infinite"): _data(conv, "scale", 0, np.inf),
        ("multiplier", "conv_denormal"): _data(conv, "scale", 0, 1e-40),
        ("multiplier", "conv_product"): _data(conv, "scale", 0, 1e9),
        ("clamp", "crossed"): _field(f"op {conv} attributes[13]", 9),
        ("clamp", "past_127"): _field(f"op {conv} attributes[13]", 128),
        ("cost", "pooling"): _costly,
    }


def _integer_input(model: Model) -> None:
    model.tensors[base.INPUT] = Tensor("image", "u7", "plain", (1, 3, 5, 5), 0.0625, 64)


def _plain_conv(model: Model) -> None:
    model.tensors[base.FEATURES].layout = "plain"


def _other_channels(model: Model) -> None:
    model.tensors[base.PLAIN].dims = (1, 5, 7, 8)
    model.tensors[base.OUTPUT].dims = (1, 5, 7, 8)


def _costly() -> bytes:
    """Max pooling of 2^28 pixels with a 255x255 window: 2^44 comparisons, in a file of 1 KB."""
    dims = (1, 4, 8192, 8192)
    model = Model(inputs=[0], outputs=[3])
    layouts = ("plain", "quads", "quads", "plain")
    model.tensors = [Tensor(f"t{i}", "u7", layout, dims, 1.0, 0) for i, layout in enumerate(layouts)]
    window: dict[str, float | int] = {"kernel_h": 255, "kernel_w": 255, "stride_h": 1, "stride_w": 1}
    pads = {f"pad_{side}": 127 for side in ("top", "left", "bottom", "right")}
    model.ops = [
        Op("layout", "", [0], 1),
        Op("max_pool", "", [1], 2, window | pads),
        Op("layout", "", [2], 3),
    ]
    return model.to_bytes()


def data_cases() -> Cases:
    """Operators' data."""
    conv, resize, table = base.CONV, base.RESIZE, base.TABLE
    begin = f"op {resize} data_offset"
    size = f"op {table} data_bytes"
    file = base_model().to_bytes()
    return {
        ("data_range", "overlap"): _field(begin, 0),
        ("data_range", "gap"): _field(begin, get(file, begin) + ALIGNMENT),
        ("data_range", "misaligned"): _field(begin, get(file, begin) + 4),
        ("data_range", "wraps"): _field(size, (1 << 64) - ALIGNMENT),
        ("data_range", "unclaimed"): _file(lambda f: grown(f, "data", bytes(ALIGNMENT))),
        ("data_bytes", "short"): _file(_short_table),
        ("data_bytes", "more_mask_bits"): _byte("data", 0, 0xFF),
        ("mask_bits", "past_k4"): _file(_bit_past_k4),
        ("mask_bits", "nothing_dropped"): _model(_full_mask),
        ("block_zero", "kept"): _model(_zero_block),
        ("weight_range", "conv"): _data(conv, "weights", 0, -128),
        ("weight_padding", "input_channel"): _data(conv, "weights", 3, 1),
        ("weight_padding", "output_channel"): _data(conv, "weights", 4 * 16 + 4, 1),
        ("weight_padding", "bias"): _data(conv, "bias", 7, 1),
        ("weight_padding", "scale"): _data(conv, "scale", 5, 1.0),
        ("accumulator", "bias"): _data(conv, "bias", 0, 2**31 - 1),
        ("accumulator", "least_bias"): _data(conv, "bias", 0, -(2**31)),
        ("table_range", "128"): _data(table, "table", 5 * 128 - 1, 128),
        ("resize_range", "row_low"): _data(resize, "row_low", 7, 5),
        ("resize_range", "col_high"): _data(resize, "col_high", 0, 65535),
        ("resize_range", "weight"): _data(resize, "row_weight", 0, 257),
    }


def _short_table(file: bytearray) -> bytearray:
    """The table claims less than its five tables; its data and the section end earlier."""
    size = int(get(file, f"op {base.TABLE} data_bytes")) - ALIGNMENT
    put(file, f"op {base.TABLE} data_bytes", size)
    put(file, "section data bytes", section(file, "data")[1] - ALIGNMENT)
    put(file, "header file_bytes", len(file) - ALIGNMENT)
    return fix_checksum(file[:-ALIGNMENT])


def _bit_past_k4(file: bytearray) -> bytearray:
    """One bit moved from a kept block to a place past K4 = 9: the number of kept blocks stays."""
    offset = section(file, "data")[0]
    file[offset] ^= 1 << 4
    file[offset + 1] ^= 1 << 7
    return fix_checksum(file)


def _full_mask(model: Model) -> None:
    data = model.ops[base.CONV].data
    data["mask"] = np.array([[0xFF, 0x01]] * 2, np.uint8)
    weights = np.ones((18, 4, 4), np.int8)
    weights[:, :, 3] = 0
    weights[9:, 1:] = 0
    data["weights"] = weights


def _zero_block(model: Model) -> None:
    weights = model.ops[base.CONV].data["weights"].copy()
    weights[1] = 0
    model.ops[base.CONV].data["weights"] = weights


def depthwise_cases() -> Cases:
    """The same rules in the other operator that has weights, and pooling's multipliers."""

    def weight(part: str, index: int, value: float) -> Callable[[], bytes]:
        def build() -> bytes:
            model = _depthwise_model()
            model.ops[1].data[part].reshape(-1)[index] = value
            return model.to_bytes()

        return build

    def pool(value: float) -> Callable[[], bytes]:
        def build() -> bytes:
            model = _depthwise_model()
            model.ops[2].data["multipliers"][0] = value
            return model.to_bytes()

        return build

    def pooled(kind: str, dtype: str, dims: tuple[int, ...]) -> Callable[[], bytes]:
        """The pool as the last operator, its result of that type and shape."""

        def build() -> bytes:
            model = _depthwise_model()
            model.tensors[3:] = [Tensor("t3", dtype, "plain", dims, 0.5 if dtype == "u7" else 0.0, 0)]
            model.ops, model.outputs = model.ops[:3], [3]
            if kind == "max_pool":
                window = {
                    name: model.ops[2].attributes[name] for name, _ in OPERATOR_BY_NAME[kind].attributes
                }
                model.ops[2] = Op(kind, "pool", [2], 3, window)
            return model.to_bytes()

        return build

    return {
        ("op_dtype", "pool_plain"): pooled("avg_pool", "u7", (1, 3, 2, 2)),
        ("op_dtype", "max_pool_float"): pooled("max_pool", "f32", (1, 3, 2, 2)),
        ("op_shape", "pool_flat"): pooled("avg_pool", "f32", (1, 3)),
        ("weight_range", "depthwise"): weight("weights", 0, -128),
        ("weight_padding", "depthwise"): weight("weights", 7, 1),
        ("accumulator", "depthwise"): weight("bias", 0, 2**31 - 1),
        ("multiplier", "depthwise_nan"): weight("scale", 0, np.nan),
        ("multiplier", "pool_nan"): pool(np.nan),
        ("multiplier", "pool_denormal"): pool(1e-40),
        ("multiplier", "pool_product"): pool(1e9),
    }


def _depthwise_model() -> Model:
    model = Model(inputs=[0], outputs=[4])
    quads = ("plain", "quads", "quads", "quads", "plain")
    sizes = ((6, 6), (6, 6), (4, 4), (2, 2), (2, 2))
    model.tensors = [Tensor(f"t{i}", "u7", quads[i], (1, 3, *sizes[i]), 0.5, 3) for i in range(5)]
    window: dict[str, float | int] = {
        "stride_h": 1,
        "stride_w": 1,
        "pad_top": 0,
        "pad_left": 0,
        "pad_bottom": 0,
        "pad_right": 0,
    }
    window |= {"kernel_h": 3, "kernel_w": 3, "clamp_min": 0, "clamp_max": 127}
    channels = np.arange(4) < 3
    data: dict[str, npt.NDArray[Any]] = {
        "weights": np.tile(np.where(channels, 7, 0), (1, 9, 1)).astype(np.int8),
        "bias": np.where(channels, -189, 0).astype(np.int32),
        "scale": np.where(channels, 0.125, 0).astype(np.float32),
    }
    pool: dict[str, npt.NDArray[Any]] = {"multipliers": np.array([0.125], np.float32)}
    model.ops = [
        Op("layout", "pack", [0], 1),
        Op("depthwise", "filter", [1], 2, window | {"dilation_h": 1, "dilation_w": 1}, data),
        Op("avg_pool", "pool", [2], 3, window | {"include_pad": 0}, pool),
        Op("layout", "unpack", [3], 4),
    ]
    return model


def all_cases() -> Cases:
    """Every broken file."""
    return (
        frame_cases()
        | text_cases()
        | tensor_cases()
        | graph_cases()
        | operator_cases()
        | data_cases()
        | depthwise_cases()
    )
