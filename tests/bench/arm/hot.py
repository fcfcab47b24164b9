"""Where the instructions of one model go: ``python -m arm.hot TIER RUNTIME MODEL`` prints functions, blocks and their code."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from arm.emulator import CPUS, Block, count
from arm.names import WORD, Names, Place, total


def listing(place: Place, block: Block) -> list[str]:
    """The block's disassembly."""
    words = b"".join(word.to_bytes(WORD, "little") for word in place.code(block.instructions))
    text = " ".join(f"0x{byte:02x}" for byte in words)
    command = ["llvm-mc-19", "--disassemble", "--triple=aarch64", "--mattr=+dotprod,+i8mm"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return [
        line.strip().replace("\t", " ") for line in done.stdout.splitlines() if not line.startswith("\t.")
    ]


def main() -> int:
    """Counts one run."""
    parser = argparse.ArgumentParser(prog="arm.hot", description=__doc__)
    parser.add_argument("tier", choices=[cpu.tier for cpu in CPUS])
    parser.add_argument("runtime", choices=["lacewing", "litert", "onnxruntime"])
    parser.add_argument("model", type=Path)
    parser.add_argument("--functions", type=int, default=12)
    parser.add_argument("--blocks", type=int, default=0, help="hottest blocks to disassemble")
    args = parser.parse_args()
    cpu = next(cpu for cpu in CPUS if cpu.tier == args.tier)
    counted = count(cpu, args.runtime, [args.model])[0]
    names, run = Names(counted.maps), counted.runs[0]
    everything = total(run)
    print(f"{args.model.name} with {args.runtime} on {cpu.qemu}: {everything:,} instructions")
    for function, n in names.by_function(run).most_common(args.functions):
        print(f"  {n:12,} {n / everything:6.1%}  {function}")
    hottest = sorted(run, key=lambda b: b.instructions * b.executions, reverse=True)
    for block in hottest[: args.blocks]:
        place = names.place(block.address)
        if place is not None:
            share = block.instructions * block.executions / everything
            print(f"\n{share:6.1%}  {place.function}+{place.offset:#x}: {block.executions:,} times")
            print("\n".join("        " + line for line in listing(place, block)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
