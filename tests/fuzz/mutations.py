"""Ways to damage a file, each a generator of (label, bytes). Everything is deterministic."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

import numpy as np

from lacewing.format.description import HEADER_BYTES
from tests.golden.surgery import Field, all_fields, fix_checksum, get, put, section

Mutation = tuple[str, bytes]
FILE_BYTES_OFFSET = 16


def truncations(file: bytes) -> Iterator[Mutation]:
    """Every proper prefix."""
    for size in range(len(file)):
        yield f"first {size} bytes", file[:size]


def whole_truncations(file: bytes) -> Iterator[Mutation]:
    """Every prefix of whole lines with size and checksum made right."""
    for size in range(HEADER_BYTES, len(file), 64):
        short = bytearray(file[:size])
        struct.pack_into("<Q", short, FILE_BYTES_OFFSET, size)
        yield f"claims to be {size} bytes", bytes(fix_checksum(short))


def bit_flips(file: bytes, repair: bool) -> Iterator[Mutation]:
    """Every single bit; ``repair`` fixes the checksum afterwards."""
    for bit in range(len(file) * 8):
        broken = bytearray(file)
        broken[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit}", bytes(fix_checksum(broken) if repair else broken)


def field_values(file: bytes) -> Iterator[Mutation]:
    """Every field of every record set to the values that off-by-one and overflow mistakes meet; checksum fixed."""
    for f in all_fields(file):
        for value in _values(f, get(file, f)):
            broken = bytearray(file)
            put(broken, f, value)
            yield f"{f.label} = {value}", bytes(fix_checksum(broken))


def _values(f: Field, now: float) -> list[float]:
    if f.code == "f":
        bits = (0, 1, 0x7F800000, 0x7FC00000, 0x80000000, 0xFF800000, 0x00800000, 0x7F7FFFFF, 0x007FFFFF)
        return [struct.unpack("<f", struct.pack("<I", b))[0] for b in bits]
    most = (1 << 8 * f.bytes) - 1
    near = {int(now) + 1, int(now) - 1, int(now) * 2, int(now) + 64, most // 2, most // 2 + 1}
    return sorted({0, 1, 2, most, most - 1, *(v & most for v in near)} - {int(now)})


def random_bytes(seed: int, count: int) -> Iterator[Mutation]:
    """Noise, noise behind a right magic, and valid headers before noise."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        yield f"noise {i}", rng.bytes(int(rng.integers(0, 600)))


def havoc(file: bytes, seed: int, count: int) -> Iterator[Mutation]:
    """Several random edits at once: bytes, words, copied stretches, field values; checksum fixed."""
    rng = np.random.default_rng(seed)
    fields = all_fields(file)
    for i in range(count):
        broken = bytearray(file)
        for _ in range(int(rng.integers(1, 5))):
            _edit(broken, fields, rng)
        yield f"havoc {seed}/{i}", bytes(fix_checksum(broken))


def _edit(broken: bytearray, fields: list[Field], rng: np.random.Generator) -> None:
    at = int(rng.integers(HEADER_BYTES, len(broken) - 16))
    choice = rng.integers(0, 4)
    if choice == 0:
        broken[at] = int(rng.integers(0, 256))
    elif choice == 1:
        struct.pack_into(
            "<I", broken, at // 4 * 4, int(rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FC00000]))
        )
    elif choice == 2:
        source = int(rng.integers(HEADER_BYTES, len(broken) - 16))
        broken[at : at + 16] = broken[source : source + 16]
    else:
        f = fields[int(rng.integers(len(fields)))]
        value = get(broken, fields[int(rng.integers(len(fields)))])
        finite = value if math.isfinite(value) else 0  # the other field may hold a NaN by now
        put(broken, f, float(rng.normal()) if f.code == "f" else finite)


def data_noise(file: bytes, seed: int, count: int) -> Iterator[Mutation]:
    """Random bytes over stretches of the data section only: structure right, values wrong; checksum fixed."""
    rng = np.random.default_rng(seed)
    offset, size = section(file, "data")
    for i in range(count):
        broken = bytearray(file)
        begin = int(rng.integers(0, size))
        stretch = min(size - begin, int(rng.integers(1, 40)))
        broken[offset + begin : offset + begin + stretch] = rng.bytes(stretch)
        yield f"data {i}", bytes(fix_checksum(broken))
