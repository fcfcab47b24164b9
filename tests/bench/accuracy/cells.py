"""Every training of the benchmark, and what the tables need of each: the one list."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

NETWORKS = ("resnet20_cifar10", "resnet56_cifar10", "mobilenet_v1_0.5_cifar10")
SPARSITIES = (0.3, 0.5, 0.75, 0.9)
BLOCKS = ("1x4", "2x4", "4x4", "8x4")
EQUALLY_FAST = ("auto", *BLOCKS, "channels")
SEEDS = (0, 1, 2)
# Of a network's channels, in the whole-channel baseline.
CHANNEL_SHARES = (0.875, 0.75, 0.5)
# Of the dense network's predicted time: where patterns that are equally fast are compared.
EQUAL_TIME = 2 / 3
# The profile of the machine whose measured times are to be equal; the shipped one of its kernels is of another processor.
DEVICE = "x86-xeon"
# What two processor cores can do for every pattern in hours, not days.
SHORT_EPOCHS = 6


@dataclass(frozen=True)
class Cell:
    """One training. ``method``: float, dense, auto, a block, single (unstructured), 2:4, channels."""

    network: str
    method: str
    sparsity: float = 0.0  # channels: the share of the channels that go
    seed: int = 0
    rearrange: bool = True
    distill: bool = True
    engine: str = "lacewing"  # that computes the quantized stage
    data: str = "full"  # or "500": images without labels; "plain": the same, converted without training
    time: float = 0.0  # of the dense network's, predicted; asked instead of a sparsity
    profile: str = ""  # that predicts and chooses, instead of the shipped one of the machine that trains
    epochs: int = 0  # instead of as many as the network gets
    gradual: bool = False  # blocks go in the first half of the float epochs, not at once before them
    taught: bool = False  # by the finished float network, not by the one that both begin from

    @property
    def id(self) -> str:
        """A name for files."""
        parts = [
            self.network,
            self.method.replace(":", "of"),
            f"{round(100 * self.time)}t" if self.time else f"{round(100 * self.sparsity)}",
            f"s{self.seed}",
        ]
        parts += [] if self.rearrange else ["norearrange"]
        parts += [] if self.distill else ["nodistill"]
        parts += [] if self.engine == "lacewing" else [self.engine]
        parts += [] if self.data == "full" else [f"d{self.data}"]
        parts += ["gradual"] if self.gradual else []
        parts += ["taught"] if self.taught else []
        parts += [self.profile] if self.profile else []
        parts += [f"e{self.epochs}"] if self.epochs else []
        return "-".join(parts)


# What rows of figures call a cell's fields; the seeds of a cell share a row.
_NAMES = {f.name: {"network": "model", "method": "block"}.get(f.name, f.name) for f in fields(Cell)}
del _NAMES["seed"]


def described(cell: Cell) -> dict[str, Any]:
    """The part of a row of figures that says which cell it is of."""
    values = asdict(cell)
    return {name: values[key] for key, name in _NAMES.items()}


def identity(row: dict[str, Any]) -> tuple[Any, ...]:
    """What the rows of one cell, over all seeds and metrics, have in common."""
    return tuple(row[name] for name in _NAMES.values())


# Fields in which the rows of another way to train differ from the usual ones.
_WAYS = ("rearrange", "distill", "engine", "gradual", "taught")


def ablated(row: dict[str, Any]) -> bool:
    """Whether the row shows what another way of training changes."""
    usual = Cell("", "")
    return any(row[name] != getattr(usual, name) for name in _WAYS)


def headline(seeds: tuple[int, ...] = SEEDS) -> list[Cell]:
    """The converter's own choice against the float network trained equally long."""
    kinds = [("float", 0.0), ("dense", 0.0), *(("auto", s) for s in SPARSITIES)]
    found = [Cell(n, method, s, seed) for seed in seeds for n in NETWORKS for method, s in kinds]
    found += [Cell(n, "auto", 0.75, seed, gradual=True) for seed in seeds for n in NETWORKS]
    kinds = [("float", 0.0), ("auto", 0.3)]
    return found + [Cell(NETWORKS[0], method, s, seed, taught=True) for seed in seeds for method, s in kinds]


def comparison() -> list[Cell]:
    """Blocks and other patterns, one seed: accuracy over measured latency."""
    found = []
    for network in NETWORKS:
        for sparsity in SPARSITIES:
            found += [Cell(network, method, sparsity) for method in (*BLOCKS, "single")]
        found += [Cell(network, method, time=EQUAL_TIME) for method in EQUALLY_FAST]
        found.append(Cell(network, "2:4", 0.5))
        found += [Cell(network, "channels", 1 - share) for share in CHANNEL_SHARES]
    return found


def equally_fast(seeds: tuple[int, ...] = SEEDS) -> list[Cell]:
    """Patterns that take the same time by the profile of DEVICE."""
    return [
        Cell(network, method, time=EQUAL_TIME, seed=seed, profile=DEVICE)
        for seed in seeds
        for network in NETWORKS
        for method in EQUALLY_FAST
    ]


def ablation() -> list[Cell]:
    """What rearrangement, distillation and the quantization engine change."""
    found = []
    for network in NETWORKS:
        found += [Cell(network, "auto", s, rearrange=False) for s in (0.5, 0.75)]
        found += [Cell(network, "auto", s, distill=False) for s in (0.5, 0.75)]
        found += [Cell(network, "auto", 0.75, engine="nncf"), Cell(network, "dense", engine="nncf")]
    return found


def short() -> list[Cell]:
    """All of the above on the smallest network, one seed and few epochs."""
    cells = dict.fromkeys((*headline((0,)), *comparison(), *equally_fast((0,)), *ablation()))
    return [replace(cell, epochs=SHORT_EPOCHS) for cell in cells if cell.network == NETWORKS[0]]


def little_data() -> list[Cell]:
    """ResNet-20 with 500 images without labels, trained and not; float is the published network."""
    return [
        Cell(NETWORKS[0], "auto" if s else "dense", s, data=data)
        for data in ("500", "plain")
        for s in (0.0, 0.3, 0.5, 0.75)
    ]


PARTS = {
    "headline": headline, "comparison": comparison, "equal": equally_fast, "ablation": ablation, "short": short,
    "little": little_data,
}  # fmt: skip
