"""Networks of unusual shape, through the whole conversion, pruned and trained: the file is the network that torch has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lacewing
from lacewing.converter.calibration import open_dataset
from lacewing.converter.convert import convert
from lacewing.converter.options import ConvertOptions
from lacewing.converter.progress import silent
from lacewing.converter.quantization.assign import assign
from lacewing.converter.quantization.collect import collect_statistics
from lacewing.converter.quantization.sharing import SharedQuantization
from lacewing.converter.source import load_graph

SIZE = 8
SHAPE = (1, 3, SIZE, SIZE)


class Skip(nn.Module):
    """A U-Net's seam: what is joined is read elsewhere, too, and ten times as large as what it is joined with."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 12, 3, padding=1)
        self.last = nn.Conv2d(28, 9, 1)
        with torch.no_grad():
            self.stem.weight *= 10
            self.inner.weight *= 0.01
            self.last.weight[:, 12:] *= 0.1

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.stem(image))
        y = torch.relu(self.inner(x))
        return self.last(torch.cat([functional.leaky_relu(y, 0.1), x], 1))


class Flat(nn.Module):
    """LeNet's end: fully connected layers on a flattened map, with something between the map and the first of them."""

    def __init__(self, between: nn.Module) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 6, 3, 2, 1)
        self.between = between
        self.hidden, self.last = nn.Linear(24, 32), nn.Linear(32, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.between(self.conv(torch.relu(self.stem(image))).flatten(1))
        return self.last(torch.relu(self.hidden(x)))


class Scaled(nn.Module):
    """Pixels are brought to 0..1 by the network itself, in front of a layer with padding."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.last = nn.Linear(32, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.conv(torch.relu(self.stem(image / 255.0))))
        return self.last(x.mean((2, 3)))


NETWORKS = {
    "skip": Skip,
    "flat": lambda: Flat(nn.Identity()),
    "flat, clamped": lambda: Flat(nn.ReLU()),
    "flat, normalized": lambda: Flat(nn.BatchNorm1d(24)),
    "scaled": Scaled,
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Iterator[nn.Module]:
    torch.manual_seed(0)
    yield NETWORKS[request.param]().eval()


def images(count: int = 24) -> list[dict[str, np.ndarray]]:
    generator = np.random.default_rng(0)
    return [{"image": 100 * generator.random(SHAPE, np.float32)} for _ in range(count)]


def noise(network: nn.Module, path) -> float:
    """dB by which the network's output is larger than the file's distance from it."""
    signal = error = 0.0
    with lacewing.Session(path) as session, torch.no_grad():
        for sample in images(8):
            (got,) = session.run(sample).values()
            wanted = network(torch.from_numpy(sample["image"])).numpy()
            signal += float(np.square(wanted).sum())
            error += float(np.square(got - wanted).sum())
    return 10 * np.log10(signal / error)


def test_dense_files_follow_their_networks(network, tmp_path):
    convert(network, tmp_path / "m.lace", ConvertOptions(images()))
    assert noise(network, tmp_path / "m.lace") > 20


def test_all_of_them_can_be_trained_sparse(network, tmp_path):
    report = convert(
        network, tmp_path / "m.lace", ConvertOptions(images(), sparsity=0.5, finetune=True, epochs=2)
    )
    assert report.sparsity > 0.2
    lacewing.verify(tmp_path / "m.lace")


def test_a_concat_holds_what_it_reads_of_other_quantizations():
    torch.manual_seed(0)
    graph = load_graph(Skip().eval(), {"image": SHAPE})
    statistics = collect_statistics(graph, open_dataset(images(), {"image": SHAPE}), 0, silent)
    plan = assign(graph, statistics, "minmax")
    (concat,) = (n for n in graph.nodes if n.op == "concat")
    sets = SharedQuantization(graph, plan.float_values).members().values()
    assert not any({concat.output, *concat.inputs} <= set(members) for members in sets), "one quantization"
    largest = max(float(statistics[v].high) for v in concat.inputs)
    assert plan.values[concat.output].range[1] >= 0.99 * largest


def test_a_latency_counts_what_stands_between_two_quantizations(tmp_path):
    torch.manual_seed(0)
    network = Skip().eval()
    dense = convert(network, tmp_path / "d.lace", ConvertOptions(images())).predicted_ms
    report = convert(network, tmp_path / "m.lace", ConvertOptions(images(), latency=0.85 * dense))
    assert report.predicted_ms <= 0.85 * dense
