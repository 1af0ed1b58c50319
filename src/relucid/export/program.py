"""The program of a model: ``torch.export`` with a batch of any size, where the model allows it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only

from relucid.errors import ExportError
from relucid.nn import operators
from relucid.probes.batches import Batch
from relucid.probes.fast_path import fast_path


@dataclass(frozen=True)
class Program:
    """A captured model."""

    exported: ExportedProgram
    batch: int | None
    """The size of batch that it is limited to; None where it takes any."""

    def inputs(self, batch: Batch) -> dict[str, Tensor]:
        """Return the tensors of a batch by the names that the program has for them."""
        leaves = tree_leaves((tuple(batch.args), dict(batch.kwargs)))
        names = self.exported.graph_signature.user_inputs
        pairs = zip(names, leaves, strict=True)
        return {str(name): leaf.detach() for name, leaf in pairs if isinstance(leaf, Tensor)}


def captured(model: nn.Module, batch: Batch, samples: int, *, whole: bool) -> Program:
    """Capture a model that is in evaluation mode.

    ``whole`` keeps relucid's activations as operators, for a translation that knows them.
    A batch of one is captured as two of it, since ``torch.export`` takes a length of 1 for fixed.
    """
    wide = repeated(batch, samples, 2) if samples == 1 else batch
    try:
        return _exported(model, wide, max(samples, 2), whole)
    except ExportError:
        if samples > 1:
            raise
        return Program(_program(model, batch, None, whole), 1)


def repeated(batch: Batch, samples: int, times: int) -> Batch:
    """Return a batch with its samples several times: of all tensors with as many along axis 0."""

    def several(x: Tensor) -> Tensor:
        return torch.cat([x] * times) if x.ndim and len(x) == samples else x

    args, kwargs = tree_map_only(Tensor, several, (tuple(batch.args), dict(batch.kwargs)))
    return Batch(args, kwargs, None)


def _exported(model: nn.Module, batch: Batch, samples: int, whole: bool) -> Program:
    def any_length(x: Any) -> Any:
        has_samples = isinstance(x, Tensor) and x.ndim and len(x) == samples
        return {0: torch.export.Dim.AUTO} if has_samples else None

    shapes = tree_map(any_length, (tuple(batch.args), dict(batch.kwargs)))
    program = _program(model, batch, _by_name(model, *shapes), whole)
    return Program(program, None if program.range_constraints else samples)


def _program(model: nn.Module, batch: Batch, shapes: Any, whole: bool) -> ExportedProgram:
    args, kwargs = tuple(batch.args), dict(batch.kwargs)
    before, operators.whole = operators.whole, whole
    try:
        with quietly(), torch.no_grad():
            return torch.export.export(model, args, kwargs, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # whatever the exporter raises: the model itself ran before
        raise ExportError(_refused(model, error)) from error
    finally:
        operators.whole = before


def _by_name(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Shapes by the names of forward's parameters; those of ``**kwargs`` by their own."""
    form = signature(model.forward)
    bound = form.bind(*args, **kwargs).arguments
    variable = [p.name for p in form.parameters.values() if p.kind is p.VAR_KEYWORD]
    return {n: s for n, s in bound.items() if n not in variable} | {
        n: s for name in variable for n, s in bound.get(name, {}).items()
    }


@contextmanager
def quietly() -> Iterator[None]:
    """Without the exporter's warnings and log, and without fused layers that it cannot see."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript")]
    levels = [logger.level for logger in loggers]
    fast_path.forbid()
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        fast_path.allow()


def _refused(model: nn.Module, error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = f"{type(error).__name__}: {lines[0] if lines else ''}"
    return (
        f"{type(model).__name__} cannot be captured by torch.export ({told:.300}); make it one "
        "that torch.export.export(model, inputs, strict=False) takes: no branches on values "
        "(torch.where and torch.cond do that), and outputs that are tensors or hold them in "
        "tuples, lists and dictionaries"
    )
