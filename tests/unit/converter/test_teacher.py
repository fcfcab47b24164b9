"""Another network as teacher: itself changes nothing, a contrary one is believed, one that does not fit is refused."""

from __future__ import annotations

import onnx
import pytest
import torch
from torch import nn
from training_cases import CLASSES, SIZE, Stripes, integers_of, options, raw_graph, recipe, trained_net, tuned

from lacewing.converter.errors import OptionError
from lacewing.converter.ir_to_onnx import to_onnx
from lacewing.converter.source import load_graph, load_training_graph
from lacewing.converter.training.distillation import Distillation, answers_of
from lacewing.converter.training.network import Network
from lacewing.converter.training.teacher import load_teacher


class Contrary(nn.Module):
    """The trained network, convinced of the class at the other end."""

    def __init__(self, softmax: bool = False) -> None:
        super().__init__()
        self.inner, self.softmax = trained_net(), softmax

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        scores = self.inner(image).flip(1)
        return scores.softmax(1) if self.softmax else scores


class OtherInput(nn.Module):
    """Reads what the trained network does, by another name."""

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return picture.flatten(1)[:, :CLASSES]


class FewerClasses(Contrary):
    """Leaves one out."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return super().forward(image)[:, 1:]


class Mixing(nn.Module):
    """Counts over the batch."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.flatten(1)[:, :CLASSES].softmax(0)


def contrary(outputs, target):
    """[N] 1 where the class at the other end is given."""
    return (next(iter(outputs.values())).argmax(1) == CLASSES - 1 - target).float()


def test_the_network_itself_teaches_what_it_does_without_being_named():
    changes = {"epochs": 2, "quantized_epochs": 0, "features": 0}
    assert integers_of(tuned(**changes, teacher=trained_net())) == integers_of(tuned(**changes))


@pytest.mark.parametrize("softmax", [False, True], ids=["scores", "probabilities"])
def test_another_teachers_scores_are_compared_with_the_students(softmax):
    graph = raw_graph()
    other = load_teacher(Contrary(softmax), graph, "classes")
    teacher = Distillation(Network(other), answers_of(graph, other), [], {}, recipe(features=0))
    inputs, _ = Stripes(16, 0).batch(range(16), torch.Generator())
    (output,) = graph.outputs
    own = Network(graph).eval()(inputs)[output].detach()
    assert float(teacher.loss(inputs, {output: own.flip(1)})) == pytest.approx(0, abs=1e-5)
    assert float(teacher.loss(inputs, {output: own})) > 1


def test_a_file_teaches_as_the_module_does(tmp_path):
    graph, shapes = raw_graph(), {"image": (1, 3, SIZE, SIZE)}
    onnx.save(to_onnx(load_graph(Contrary(), shapes)), tmp_path / "contrary.onnx")
    inputs, _ = Stripes(16, 0).batch(range(16), torch.Generator())
    answers = []
    for source in (Contrary(), str(tmp_path / "contrary.onnx")):
        other = load_teacher(source, graph, "classes")
        answers.append(Network(other).eval()(inputs)[other.outputs[0]])
    torch.testing.assert_close(*answers, rtol=1e-4, atol=1e-4)


def test_a_student_believes_its_teacher_in_both_stages():
    changes = {"loss": None, "metric": contrary, "features": 0, "teacher": Contrary()}
    result = tuned(told=options(sparsity=0.0), epochs=12, quantized_epochs=2, learning_rate=1e-2, **changes)
    assert result.metric["float"] < 0.2
    assert result.metric["quantized"] > 0.8


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("absent.onnx", "the recipe's teacher must be .*absent.onnx"),
        (OtherInput(), r"must be .* reads 'image' \[1, 3, 10, 10\]: .*picture"),
        (Mixing(), "(?s)must be .*axis 0 is not the batch"),
        (FewerClasses(), rf"gives \S+ \[1, {CLASSES - 1}\], the network \S+ \[1, {CLASSES}\]"),
    ],
    ids=["no file", "another input", "mixes samples", "another output"],
)
def test_a_teacher_that_does_not_fit_is_refused(teacher, message):
    with pytest.raises(OptionError, match=message):
        load_teacher(teacher, raw_graph(), "classes")


def test_values_are_not_compared_across_a_softmax():
    """Of classes the softmax is taken of both; what a row of values means, nobody else can say."""
    graph = raw_graph()
    ended = load_training_graph(Contrary(softmax=True), {"image": (1, 3, SIZE, SIZE)})
    load_teacher(Contrary(softmax=True), ended, "values")
    for source, student in ((Contrary(softmax=True), graph), (trained_net(), ended)):
        assert answers_of(student, load_teacher(source, student, "classes"))
        with pytest.raises(OptionError, match="is a softmax: give a teacher that ends as the network does"):
            load_teacher(source, student, "values")


def test_a_file_that_reads_more_is_refused(tmp_path):
    model = to_onnx(load_graph(trained_net(), {"image": (1, 3, SIZE, SIZE)}))
    model.graph.input.append(onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, [1, 1]))
    onnx.save(model, tmp_path / "more.onnx")
    with pytest.raises(OptionError, match=r"reads .*'mask' \[1, 1\].*give one that reads the same"):
        load_teacher(tmp_path / "more.onnx", raw_graph(), "classes")


def test_a_checkpoint_of_another_teacher_is_refused(tmp_path):
    changes = {"epochs": 1, "quantized_epochs": 0, "features": 0}
    tuned(tmp_path, **changes, teacher=Contrary())
    with pytest.raises(OptionError, match="another network"):
        tuned(tmp_path, **changes, teacher=trained_net())
    with pytest.raises(OptionError, match="another network"):
        tuned(tmp_path, **changes)
