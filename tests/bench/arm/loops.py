"""The inner loops of our matrix kernels, cut out of the compiled engine, and what llvm-mca says of them.

``python -m arm.loops`` prints the table. llvm-mca models a core's issue ports and latencies with every load a hit in the
first-level cache and every branch predicted: an upper bound of what the loop can reach there, not a measurement.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arm.emulator import ENGINE

# LLVM has no model of its own for the A76 and later out-of-order cores (it takes the A57's for their names, too); the
# Neoverse N1 is the A76's design, the N2 the A710's.
CORES = {
    "cortex-a53": "A53",
    "cortex-a55": "A55",
    "cortex-a72": "A57, A72",
    "neoverse-n1": "A76 (N1)",
    "neoverse-n2": "A710 (N2)",
    "apple-m1": "Apple M1",
}
NEEDS = {
    "neon": (),
    "dotprod": ("cortex-a53", "cortex-a72"),
    "i8mm": ("cortex-a53", "cortex-a55", "cortex-a72"),
}
ITERATIONS = 300  # a loop's first iterations fill the pipeline
# Multiply-accumulates of one instruction, by mnemonic and destination.
PRODUCTS = {("sdot", "4s"): 16, ("usdot", "4s"): 16, ("smmla", "4s"): 32}
PRODUCTS |= {(name + half, "8h"): 8 for name in ("smull", "smlal") for half in ("", "2")}


@dataclass(frozen=True)
class Instruction:
    """One line of a disassembly."""

    address: int
    text: str  # mnemonic and operands

    @property
    def target(self) -> int | None:
        """Where a branch goes."""
        found = re.match(r"(?:b|b\.\w+|cbn?z|tbn?z)\s.*?\b0x([0-9a-f]+) <", self.text)
        return int(found[1], 16) if found else None

    @property
    def products(self) -> int:
        """Multiply-accumulates."""
        found = re.match(r"(\w+)\s+v\d+\.(\w+)", self.text)
        return PRODUCTS.get((found[1], found[2]), 0) if found else 0


@dataclass(frozen=True)
class Loop:
    """The innermost loop of a kernel that multiplies most."""

    kernel: str
    body: tuple[Instruction, ...]

    @property
    def tier(self) -> str:
        """Ours, from the kernel's name."""
        return self.kernel.rpartition("__")[2]

    @property
    def products(self) -> int:
        """Multiply-accumulates of one iteration."""
        return sum(i.products for i in self.body)

    def assembly(self) -> str:
        """As llvm-mca reads it."""
        lines = [re.sub(r"0x[0-9a-f]+ <.*>", "loop", i.text) if i.target else i.text for i in self.body]
        return "loop:\n" + "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Modelled:
    """One loop on one core."""

    loop: Loop
    core: str
    cycles: float  # of one iteration
    port_cycles: float  # the same if no instruction waited for another's result

    @property
    def rate(self) -> float:
        """Multiply-accumulates a cycle."""
        return self.loop.products / self.cycles


def disassemble(engine: Path) -> dict[str, list[Instruction]]:
    """The code of every kernel that multiplies matrices; those for one pixel are bound by memory."""
    command = [
        "llvm-objdump-19",
        "--disassemble",
        "--no-show-raw-insn",
        "--mattr=+dotprod,+i8mm",
        str(engine),
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kernels: dict[str, list[Instruction]] = {}
    body: list[Instruction] | None = None
    for line in text.splitlines():
        if header := re.match(r"[0-9a-f]+ <(.*)>:", line):
            name = re.fullmatch(r"lw_(gemm_\w+)", header[1])
            body = kernels.setdefault(name[1], []) if name else None
        elif body is not None and (found := re.match(r"\s*([0-9a-f]+):\s+(.*)", line)):
            body.append(Instruction(int(found[1], 16), re.sub(r"\s*//.*", "", found[2]).replace("\t", " ")))
    return kernels


def innermost(body: list[Instruction]) -> Iterator[tuple[Instruction, ...]]:
    """Loops that hold no other."""
    at = {instruction.address: i for i, instruction in enumerate(body)}
    spans = [(at[i.target], n) for n, i in enumerate(body) if i.target in at and at[i.target] <= n]
    for begin, end in spans:
        if not any((b, e) != (begin, end) and begin <= b and e <= end for b, e in spans):
            yield tuple(body[begin : end + 1])


def inner_loops(engine: Path = ENGINE) -> list[Loop]:
    """One per kernel; a kernel whose loops do not multiply by the instructions above has none."""
    found = []
    for kernel, body in disassemble(engine).items():
        loops = [Loop(kernel, loop) for loop in innermost(body)]
        best = max(loops, key=lambda loop: loop.products, default=None)
        if best is not None and best.products:
            found.append(best)
    return found


def model(loop: Loop, core: str) -> Modelled:
    """Asks llvm-mca."""
    command = ["llvm-mca-19", "-mtriple=aarch64", "-mattr=+dotprod,+i8mm", f"-mcpu={core}", "--json"]
    command.append(f"-iterations={ITERATIONS}")
    done = subprocess.run(command, input=loop.assembly(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"llvm-mca of {loop.kernel} for {core}: {done.stderr}\n{loop.assembly()}")
    summary: dict[str, Any] = json.loads(done.stdout)["CodeRegions"][0]["SummaryView"]
    return Modelled(loop, core, summary["TotalCycles"] / ITERATIONS, summary["BlockRThroughput"])


def modelled(engine: Path = ENGINE) -> list[Modelled]:
    """Every loop on every core that has its instructions."""
    return [model(l, core) for l in inner_loops(engine) for core in CORES if core not in NEEDS[l.tier]]


def rows() -> list[dict[str, Any]]:
    """As docs/data keeps them."""
    return [
        {
            "kernel": m.loop.kernel,
            "core": CORES[m.core],
            "instructions": len(m.loop.body),
            "products": m.loop.products,
            "cycles": round(m.cycles, 3),
            "port_cycles": m.port_cycles,
        }
        for m in modelled()
    ]


def modeller() -> str:
    """What models."""
    text = subprocess.run(["llvm-mca-19", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"LLVM version (\S+)", text)
    return f"llvm-mca {found[1]}" if found else "llvm-mca"


def main() -> int:
    """Prints multiply-accumulates a cycle, modelled and by ports alone."""
    for m in modelled():
        loop = m.loop
        print(
            f"{loop.kernel:28s} {len(loop.body):4d} instructions {loop.products:5d} MAC  {m.core:12s} "
            f"{m.cycles:7.2f} cycles {m.rate:6.2f} MAC/cycle (ports {loop.products / m.port_cycles:6.2f})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
