"""Torch modules as sources: the same function, their batch norms and names, and what is refused with which advice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from onnx_models import random_inputs
from torch import Tensor, nn

import lacewing
from lacewing.converter.convert import convert
from lacewing.converter.errors import ModelFileError, OptionError, UnsupportedModelError
from lacewing.converter.execute import Executor
from lacewing.converter.ir import Graph
from lacewing.converter.options import ConvertOptions, LayerChoice
from lacewing.converter.passes import run_passes
from lacewing.converter.source import load_graph, load_training_graph
from lacewing.converter.torch_import import import_module

TOLERANCE = 1e-4  # of the largest value


class Residual(nn.Module):
    """A CIFAR ResNet's block: the shortcut drops pixels and pads channels with zeros."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, out // channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.extra = (out - channels) // 2

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.extra:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra))
        return F.relu(x + y)


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.layer1 = nn.Sequential(Residual(8, 8), Residual(8, 16))
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.layer1(self.stem(x)).mean((2, 3)))


class MobileNet(nn.Module):
    """Depthwise separable convolutions with batch norms, in training mode as a training loop leaves them."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(self.layer(3, 8, 1), self.layer(8, 8, 8), self.layer(8, 16, 1))
        self.pool, self.drop, self.fc = nn.AdaptiveAvgPool2d(1), nn.Dropout(0.5), nn.Linear(16, 10)

    def layer(self, channels: int, out: int, groups: int) -> nn.Sequential:
        conv = nn.Conv2d(channels, out, 3, padding=1, groups=groups, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU6(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.drop(self.pool(self.features(x)).flatten(1)))


class SqueezeExcite(nn.Module):
    """Both common spellings: linear layers expanded to the image, and 1x1 convolutions; every gated function."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.act = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Hardswish()
        self.fc = nn.Sequential(nn.Linear(8, 4), nn.ReLU(inplace=True), nn.Linear(4, 8), nn.Sigmoid())
        self.reduce, self.expand, self.silu = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1), nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn(self.conv(x)))
        batch, channels = x.shape[:2]
        gate = self.fc(F.adaptive_avg_pool2d(x, 1).view(batch, channels)).view(batch, channels, 1, 1)
        x = x * gate.expand_as(x)
        return x * F.hardsigmoid(self.expand(self.silu(self.reduce(x.mean((2, 3), keepdim=True)))))


NETWORKS = {"resnet": ResNet, "mobilenet": MobileNet, "squeeze-excite": SqueezeExcite}
SHAPES = {"x": (1, 3, 16, 16)}


def network(kind: type[nn.Module]) -> nn.Module:
    """With batch norms that do something, half of its modules in training mode."""
    torch.manual_seed(0)
    module = kind()
    for index, part in enumerate(module.modules()):
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, -1.5, 1.5)
            nn.init.normal_(part.bias)
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
        part.training = index % 2 == 0
    return module


def expected(module: nn.Module, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """What torch computes in evaluation mode."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    with torch.no_grad():
        result = module(**{name: torch.from_numpy(array) for name, array in inputs.items()})
    for part, training in modes:
        part.training = training
    return [value.numpy() for value in ([result] if isinstance(result, Tensor) else result)]


def assert_computes(graph: Graph, wanted: list[np.ndarray], inputs: dict[str, np.ndarray]) -> None:
    found = list(Executor(graph, threads=1).run(inputs).values())
    assert [array.shape for array in found] == [array.shape for array in wanted]
    for array, reference in zip(found, wanted, strict=True):
        error = np.abs(array - reference).max() / np.abs(reference).max()
        assert error <= TOLERANCE, f"{graph.name}: off by {error:.2e}"


def ops(graph: Graph) -> Counter[str]:
    return Counter(node.op for node in graph.nodes)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_training_graph_keeps_batch_norms_and_becomes_the_canonical_one(name: str) -> None:
    module = network(NETWORKS[name])
    state = {key: value.clone() for key, value in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    graph = load_training_graph(module, SHAPES)
    inputs = random_inputs(graph)
    wanted = expected(module, inputs)
    assert ops(graph)["batch_norm"] == sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())
    assert_computes(graph, wanted, inputs)
    run_passes(graph)
    canonical = load_graph(module, SHAPES)
    assert ops(graph) == ops(canonical) and not {"batch_norm", "affine", "pad", "resize"} & set(ops(graph))
    assert_computes(canonical, wanted, inputs)
    assert_computes(graph, list(Executor(canonical, threads=1).run(inputs).values()), inputs)
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())


@pytest.mark.needs_data
@pytest.mark.parametrize(
    ("file", "norms"),
    [
        ("squeezenet_imagenet/squeezenet_v1.1_float.onnx", 0),
        ("ultralight_face/version-RFB-320_without_postprocessing.onnx", 35),
    ],
)
def test_the_training_graph_of_a_file_becomes_the_canonical_one(file: str, norms: int, data: Path) -> None:
    graph, canonical = load_training_graph(data / file), load_graph(data / file, {})
    assert ops(graph)["batch_norm"] == norms
    inputs = random_inputs(graph)
    wanted = list(Executor(canonical, threads=1).run(inputs).values())
    assert_computes(graph, wanted, inputs)
    run_passes(graph)
    assert ops(graph) == ops(canonical)
    assert_computes(graph, wanted, inputs)


def test_nodes_are_named_after_modules() -> None:
    graph = import_module(network(ResNet), torch.zeros(1, 3, 16, 16))
    names = {node.name: node for node in graph.nodes}
    parts = ["conv1", "bn1", "relu", "conv2", "bn2", "slice", "slice_1", "pad", "add", "relu_1"]
    expected_names = ["stem", "fc", "mean", *(f"layer1.1.{part}" for part in parts)]
    assert not set(expected_names) - set(names), sorted(names)
    assert names["layer1.1.conv1"].output == "layer1.1.conv1"
    assert names["layer1.1.pad"].attrs["fixed"] is True and "fixed" not in names["stem"].attrs
    assert (graph.name, graph.inputs, graph.outputs) == ("ResNet", ["x"], ["linear"])


def test_the_option_a_shortcut_is_one_strided_convolution() -> None:
    graph = load_graph(network(ResNet), SHAPES)
    shortcut = next(node for node in graph.nodes if node.name == "layer1.1.pad")
    assert (shortcut.op, shortcut.attrs["strides"], shortcut.weights["weight"].shape) == (
        "conv",
        (2, 2),
        (16, 8, 1, 1),
    )
    assert ops(graph) == {"conv": 7, "add": 2, "avg_pool": 1, "reshape": 1}


class Tied(nn.Module):
    """One convolution used twice, a layer of a parametrized weight, bare parameters, two inputs, two results."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(3, 3, 3, padding=1)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 1))
        self.kernel = nn.Parameter(torch.randn(4, 4, 1, 1))

    def forward(self, left: Tensor, right: Tensor, scale: float = 2.0) -> tuple[Tensor, Tensor]:
        both = self.shared(F.relu(self.shared(left))) + scale * right
        return F.conv2d(self.normed(both), self.kernel), F.leaky_relu(both).flatten(1)


def test_shared_modules_several_inputs_and_several_results() -> None:
    module = network(Tied)
    example = (torch.zeros(5, 3, 6, 6), torch.zeros(5, 3, 6, 6))
    graph = import_module(nn.DataParallel(module), example)
    nodes = {node.name: node for node in graph.nodes}
    assert list(nodes["shared"].inputs) == ["left"]
    first, second = (nodes[name].weights["weight"] for name in ("shared", "shared_1"))
    assert np.array_equal(first, second)
    assert {"normed", "conv2d", "relu"} <= set(nodes), sorted(nodes)
    assert graph.shapes["right"] == (1, 3, 6, 6)
    inputs = random_inputs(graph)
    assert_computes(graph, expected(module, inputs), inputs)


def test_batch_norms_can_come_as_affine_maps() -> None:
    module = network(MobileNet)
    graph = import_module(module, {"x": torch.zeros(1, 3, 16, 16)}, keep_batch_norm=False)
    assert (ops(graph)["batch_norm"], ops(graph)["affine"]) == (0, 3)
    inputs = random_inputs(graph)
    assert_computes(graph, expected(module, inputs), inputs)


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.norm = nn.ConvTranspose2d(3, 4, 2, 2), nn.GroupNorm(2, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.up(x))


class Bessel(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x)


def test_unsupported_layers_are_listed_by_module() -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        import_module(Decoder(), torch.zeros(1, 3, 8, 8))
    problems = {problem.node: problem for problem in caught.value.problems}
    assert "Resize" in problems["up"].hint and "BatchNormalization" in str(problems), problems
    assert any(node.startswith("norm") for node in problems)


@pytest.mark.parametrize(("module", "reason"), [(Branches(), "data-dependent"), (Bessel(), "bessel_j0")])
def test_what_torch_cannot_export_says_what_to_do(
    module: nn.Module, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UnsupportedModelError, match=reason) as caught:
        import_module(module, torch.zeros(1, 3, 8, 8))
    assert "give the file" in caught.value.problems[0].hint
    assert "\n" not in str(caught.value.problems[0])
    assert capfd.readouterr().out == ""


def test_an_example_that_does_not_fit_is_told_apart() -> None:
    module = network(ResNet)
    with pytest.raises(ModelFileError, match=r"ResNet fails on an example of shape \[1, 4, 16, 16\]"):
        import_module(module, torch.zeros(1, 4, 16, 16))
    with pytest.raises(OptionError, match="not of ndarray"):
        import_module(module, (np.zeros((1, 3, 16, 16)),))
    with pytest.raises(OptionError, match="not of nothing"):
        import_module(module, ())
    with pytest.raises(OptionError, match=r"input_shapes=\{'x'.*no input y"):
        load_graph(module, {"y": (1, 3, 16, 16)})


def test_converting_a_module(tmp_path: Path) -> None:
    module = network(ResNet)
    images = np.random.default_rng(0).normal(size=(8, 3, 16, 16)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    layers = {"layer1.0.conv1": LayerChoice("4x4", 0.5)}
    report = convert(module, tmp_path / "a.lace", ConvertOptions(tmp_path / "images.npy", layers=layers))
    assert report.source == "ResNet" and report.source_bytes > 4 * sum(p.numel() for p in module.parameters())
    sparsity = {layer.name: layer.sparsity for layer in report.layers}
    assert sparsity["layer1.0.conv1"] == 0.5 and sparsity["layer1.0.conv2"] == 0
    convert(module, tmp_path / "b.lace", ConvertOptions([{"x": image} for image in images], layers=layers))
    assert (tmp_path / "a.lace").read_bytes() == (tmp_path / "b.lace").read_bytes()
    with lacewing.Session(tmp_path / "a.lace") as session:
        assert session.metadata["model"] == "ResNet"
        found = session.run({"x": images[:1]})["linear"]
    wanted = expected(module, {"x": images[:1]})[0]
    assert np.abs(found - wanted).max() < 0.1 * np.abs(wanted).max()
    with pytest.raises(OptionError, match=r"input_shapes=\{'x': "):
        convert(module, tmp_path / "c.lace", ConvertOptions(tmp_path))
