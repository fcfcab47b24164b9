"""Names of an exported module's nodes and values: the path of the module that they come from."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection

from onnx import ModelProto, NodeProto
from torch import nn

_SCOPES = (
    "pkg.torch.onnx.name_scopes"  # the exporter's record: module paths from the root on, then the operator
)
_WITH_WEIGHTS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "PRelu")


def name_after_modules(model: ModelProto, module: nn.Module) -> None:
    """Renames nodes, and their results except the model's outputs, in place.

    A node with weights is called after the module that owns them, another one after the leaf module that it
    computes, or ``<module>.<operator>`` where the code of ``forward`` calls it. What is called twice is numbered
    within its module, so that names of one module do not depend on the rest of the network.
    """
    leaves = {name for name, part in module.named_modules() if name and _is_leaf(part)}
    weights = {tensor.name for tensor in model.graph.initializer}
    owners = {_owner(node, weights) for node in model.graph.node}
    outputs = {value.name for value in model.graph.output}
    values = outputs | weights | {value.name for value in model.graph.input}
    names: set[str] = set()
    renamed: dict[str, str] = {}
    for node in model.graph.node:
        node.name = _unique(_owner(node, weights) or _base(node, leaves, owners), names)
        node.input[:] = [renamed.get(value, value) for value in node.input]
        for index, value in enumerate(node.output):
            if value and value not in outputs:
                suffix = f".{index}" if index else ""
                renamed[value] = node.output[index] = _unique(node.name + suffix, values)
    del model.graph.value_info[:]  # of the old names; inference finds them again


def _is_leaf(module: nn.Module) -> bool:
    """Whether it has no layers inside; what torch computes its weights with does not count."""
    return all(name == "parametrizations" for name, _ in module.named_children())


def _owner(node: NodeProto, weights: Collection[str]) -> str:
    """The module whose parameters the node reads, "" if none."""
    owned = node.op_type in _WITH_WEIGHTS and node.input[1] in weights
    return node.input[1].rpartition(".")[0] if owned else ""


def _base(node: NodeProto, leaves: Collection[str], owners: Collection[str]) -> str:
    record = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), "[]")
    scopes: list[str] = ast.literal_eval(record)
    if not scopes:
        return node.op_type.lower()
    path = scopes[-2] if len(scopes) > 1 else ""
    # An operator of torch can be several of ONNX: the last one, which gives the result, has the plain name.
    is_result = node.output[0] == scopes[-1] or node.op_type in _WITH_WEIGHTS
    if path in leaves:
        plain = is_result and path not in owners
        return path if plain else f"{path}.{node.op_type.lower()}"
    base = ".".join(filter(None, (path, re.sub(r"_\d+$", "", scopes[-1]))))
    return base if is_result else f"{base}.{node.op_type.lower()}"


def _unique(base: str, taken: set[str]) -> str:
    name, count = base, 1
    while name in taken:
        name, count = f"{base}_{count}", count + 1
    taken.add(name)
    return name
