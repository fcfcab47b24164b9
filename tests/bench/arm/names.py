"""From an address of a counted process to the function and the code that stand there."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from elftools.elf.elffile import ELFFile

from arm.emulator import Block

WORD = 4  # bytes of an aarch64 instruction


class Binary:
    """An ELF file by file offsets: what a memory map speaks in."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def functions(self) -> list[tuple[int, str]]:
        """(offset, name), rising. Short where a publisher has stripped the file."""
        with self.path.open("rb") as file:
            elf = ELFFile(file)
            loads = [s for s in elf.iter_segments("PT_LOAD")]

            def offset(address: int) -> int:
                home = next(s for s in loads if 0 <= address - s["p_vaddr"] < s["p_memsz"])
                return int(address - home["p_vaddr"] + home["p_offset"])

            found = {
                offset(symbol["st_value"]): symbol.name
                for name in (".dynsym", ".symtab")
                if (table := elf.get_section_by_name(name)) is not None
                for symbol in table.iter_symbols()
                if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_value"]
            }
        return sorted(found.items())

    @cached_property
    def named(self) -> bool:
        """Whether local functions have names, too."""
        with self.path.open("rb") as file:
            return ELFFile(file).get_section_by_name(".symtab") is not None

    @cached_property
    def content(self) -> bytes:
        """The whole file."""
        return self.path.read_bytes()

    def function(self, offset: int) -> str:
        """The name of the function around ``offset``; the file's where it does not name its functions."""
        at = bisect.bisect_right(self.functions, (offset, "\x7f")) - 1
        return self.functions[at][1] if self.named and at >= 0 else self.path.name


@cache
def binary(path: Path) -> Binary:
    """One object per file: symbol tables take a second to read."""
    return Binary(path)


@dataclass(frozen=True)
class Mapping:
    """One line of /proc/self/maps that has a file."""

    begin: int
    end: int
    offset: int  # in the file
    path: Path


@dataclass(frozen=True)
class Place:
    """Where an address lies."""

    binary: Binary
    offset: int

    @property
    def function(self) -> str:
        """The function's name, or the file's."""
        return self.binary.function(self.offset)

    def code(self, instructions: int) -> list[int]:
        """The instruction words from here on."""
        raw = self.binary.content[self.offset : self.offset + instructions * WORD]
        return [int.from_bytes(raw[i : i + WORD], "little") for i in range(0, len(raw), WORD)]


class Names:
    """The files of one counted process."""

    def __init__(self, maps: str) -> None:
        self.mappings: list[Mapping] = []
        for line in maps.splitlines():
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and Path(fields[5]).is_file():
                begin, end = (int(text, 16) for text in fields[0].split("-"))
                self.mappings.append(Mapping(begin, end, int(fields[2], 16), Path(fields[5])))
        self.mappings.sort(key=lambda m: m.begin)

    def place(self, address: int) -> Place | None:
        """None for code that is in no file."""
        at = bisect.bisect_right([m.begin for m in self.mappings], address) - 1
        if at < 0 or address >= self.mappings[at].end:
            return None
        mapping = self.mappings[at]
        return Place(binary(mapping.path), address - mapping.begin + mapping.offset)

    def within(self, blocks: Iterable[Block], path: Path) -> list[Block]:
        """The blocks whose code is in the file ``path``."""
        inside = [m for m in self.mappings if m.path.samefile(path)]
        return [block for block in blocks if any(m.begin <= block.address < m.end for m in inside)]

    def by_function(self, blocks: Iterable[Block]) -> Counter[str]:
        """Executed instructions of each function."""
        total: Counter[str] = Counter()
        for block in blocks:
            place = self.place(block.address)
            name = place.function if place is not None else "elsewhere"
            total[name] += block.instructions * block.executions
        return total


def total(blocks: Iterable[Block]) -> int:
    """Executed instructions."""
    return sum(block.instructions * block.executions for block in blocks)
