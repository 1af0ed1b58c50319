"""The graph of a model: ``torch.export`` on a copy, for analysis only.

``torch.export`` rather than ``torch.fx``, because it refuses control flow that depends on values
(a graph of the one way that the example took would prove nothing), runs what ``torch.fx`` cannot
trace (``*args``, shapes, the models of transformers), names the parameter of every operand, and
keeps module and source line of every operator. The graph is functional, with ``linear``,
``conv2d``, ``batch_norm`` and ``layer_norm`` still whole.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from relucid.errors import GraphError
from relucid.probes.batches import Batch
from relucid.probes.contents import tensors_within
from relucid.probes.fast_path import fast_path

_TORCH = os.path.dirname(os.path.abspath(torch.__file__)) + os.sep
_OWN = "model."
"""Where the wrapper holds the model."""
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\w+)')


@dataclass(frozen=True)
class Captured:
    """A model's graph, and the tensors that its placeholders stand for."""

    module: fx.GraphModule
    tensors: dict[str, Tensor]
    """By placeholder: the model's parameters, buffers and constants, and the example's inputs."""
    names: dict[str, str]
    """By placeholder: the name of a parameter or buffer in the model."""
    inputs: frozenset[str]
    """Placeholders of the inputs."""

    @property
    def nodes(self) -> list[fx.Node]:
        """Return all nodes in the order in which they run."""
        return list(self.module.graph.nodes)


class _Outputs(nn.Module):
    """A model that returns the tensors of what it returns, whatever holds them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        return tuple(tensors_within(self.model(*args, **kwargs)))


def capture(model: nn.Module, batch: Batch) -> Captured:
    """Capture the graph of a model, in the mode that it is in, on one batch.

    Raises :class:`~relucid.errors.GraphError` where ``torch.export`` refuses it.
    """
    wrapped = _Outputs(model)
    wrapped.training = model.training
    try:
        with _quietly(), torch.no_grad():
            program = torch.export.export(
                wrapped, tuple(batch.args), dict(batch.kwargs), strict=False
            ).run_decompositions({})
    except Exception as error:  # whatever the exporter raises: the model itself ran before
        raise GraphError(_refused(model, error)) from error
    leaves = iter(tree_leaves((tuple(batch.args), dict(batch.kwargs))))
    held: dict[str, Tensor] = dict(wrapped.named_parameters(remove_duplicate=False))
    held |= dict(wrapped.named_buffers(remove_duplicate=False))
    tensors, names, inputs = dict[str, Any](), dict[str, str](), set[str]()
    for spec in program.graph_signature.input_specs:
        name, kind = spec.arg.name, spec.kind.name
        if kind == "USER_INPUT":
            tensors[name] = next(leaves)
            inputs.add(name)
        elif spec.target in held:
            tensors[name], names[name] = held[spec.target], spec.target.removeprefix(_OWN)
        else:
            tensors[name] = program.constants[spec.target]
    _whole_norms(program.graph_module)
    return Captured(program.graph_module, tensors, names, frozenset(inputs))


def _whole_norms(module: fx.GraphModule) -> None:
    """Put ``batch_norm`` back where the exporter wrote a form of it with three results."""
    graph, aten = module.graph, torch.ops.aten
    for node in list(graph.nodes):
        if node.target is aten._native_batch_norm_legit_no_training.default:
            values, weight, bias, mean, variance, momentum, eps = node.args
            with graph.inserting_before(node):
                whole = graph.call_function(
                    aten.batch_norm.default,
                    (values, weight, bias, mean, variance, False, momentum, eps, False),
                )
            whole.meta = {**node.meta, "val": node.meta["val"][0]}
            for item in list(node.users):  # statistics, which nothing reads in evaluation mode
                item.replace_all_uses_with(whole)
                graph.erase_node(item)
            graph.erase_node(node)


def path_of(node: fx.Node) -> str:
    """Return the path of the module that runs an operator."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return stack[-1][0].removeprefix("model").removeprefix(".") if stack else ""


def lines_of(node: fx.Node) -> list[tuple[str, int]]:
    """Return file and line of the calls that led to an operator, outside PyTorch, inmost last."""
    found = _FRAME.findall(node.meta.get("stack_trace") or "")
    return [(file, int(line)) for file, line, _ in found if not file.startswith(_TORCH)
            and os.path.abspath(file) != os.path.abspath(__file__)]  # fmt: skip


def where(node: fx.Node) -> str:
    """Name an operator with its module and source line, as a message does."""
    path, lines = path_of(node), lines_of(node)
    name = str(getattr(node.target, "_opname", node.name))
    inside = f" in {path!r}" if path else ""
    line = f" ({os.path.basename(lines[-1][0])}:{lines[-1][1]})" if lines else ""
    return f"{name}{inside}{line}"


@contextmanager
def _quietly() -> Iterator[None]:
    """Without warnings, which are of the exporter's own making, and without fused layers."""
    fast_path.forbid()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        fast_path.allow()


def _refused(model: nn.Module, error: Exception) -> str:
    name = type(model).__name__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = f"{type(error).__name__}: {lines[0] if lines else ''}"
    if "data-dependent" in str(error) or "data dependent" in str(error):
        cure = (
            "its course depends on values of its inputs; write the choice with torch.where or "
            "torch.cond, or pass the submodules beside it"
        )
    else:
        cure = "make it one that torch.export(strict=False) takes, or pass the submodules that are"
    return f"{name} cannot be captured ({told:.300}): {cure}"
