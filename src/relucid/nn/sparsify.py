"""Training that makes units die on purpose, so that they can be removed without a difference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.utils.hooks import RemovableHandle

from relucid.errors import ModelError, ParameterError
from relucid.nn.flow import WEIGHTED, reads_of

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Sparsified:
    """What :func:`sparsify_` put on a model. As a context manager it is removed at the end."""

    layers: tuple[str, ...]
    """The layers that read what is penalised."""

    def __init__(self, layers: tuple[str, ...], strength: float, pull: float) -> None:
        self.layers, self.strength, self.pull = layers, strength, pull
        self._handles: list[RemovableHandle] = []
        self._pulled: list[Tensor] = []

    def remove(self) -> None:
        """Take all of it off again: the model trains as it did. A second time does nothing."""
        while self._handles:
            self._handles.pop().remove()
        while self._pulled:
            tensor = self._pulled.pop()
            if not tensor._backward_hooks:
                tensor._backward_hooks = None  # as it was; its handle leaves an empty dictionary

    def _penalise(self, layer: nn.Module) -> None:
        hook = _Penalty(_width(layer), self)
        self._handles.append(layer.register_forward_pre_hook(hook))

    def _draw(self, parameter: Tensor, *, bias: bool, axis: int) -> None:
        self._handles.append(parameter.register_hook(_Pull(parameter, self, bias, axis)))
        self._pulled.append(parameter)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def __repr__(self) -> str:
        return f"<sparsified: {', '.join(self.layers)}; strength {self.strength:g}>"


def sparsify_(
    model: nn.Module,
    example: Any = None,
    *,
    strength: float = 1e-3,
    pull: float = 0.03,
    at: str | Iterable[str] | None = None,
) -> Sparsified:
    """Make units die while a model trains; the training loop stays as it is.

    Two things are added to the gradients of every backward pass in training mode, and nothing to
    values, so that losses read as before:

    * that of an L1 penalty on activations: ``strength`` times the mean over samples and positions
      of the sum over units of abs(h);
    * for units that had no part in the loss of this batch (every entry of their gradient is
      exactly 0): a pull of their incoming weights towards 0, and of their bias below it. A unit
      that is dead on the data alone becomes one that is dead for every input of a bounded domain,
      which :func:`relucid.shrink` proves and removes. Batch normalisation's scale and shift are
      pulled likewise.

    Units die only of functions that are exactly 0 somewhere: ReLU and its kin. Prior work: L1 on
    activations, Georgiadis 2019, arXiv:1812.04056; units that a decay of weights empties, Mehta
    et al. 2019, arXiv:1811.12495.

    Args:
        model: the model. It gets hooks, which the result removes.
        example: an input, as :func:`relucid.nn.init_` takes it, with which it is seen what each
            layer reads. Nested ``nn.Sequential`` need none.
        strength: of the penalty, beside a loss that is a mean over samples.
        pull: length of the gradient that empties a silent unit.
        at: names of the layers whose inputs are penalised, with ``*`` for anything; all that
            read an activation.

    Returns:
        A :class:`Sparsified` with ``remove()``, which is a context manager too.

    Raises:
        ModelError: if no layer (at these names) reads an activation, or it is no Sequential and
            has no example.
        ParameterError: for a negative or infinite strength or pull.

    """
    for name, number in (("strength", strength), ("pull", pull)):
        if not 0.0 <= number < math.inf:
            raise ParameterError(f"{name} must be a finite number from 0 on, and is {number!r}")
    reads = reads_of(model, example)
    readers = {
        name: layer
        for name, layer in model.named_modules()
        if any(origin.activation is not None for origin in reads.of.get(layer, ()))
        and _chosen(name, at)
    }
    if not readers:
        where = "" if at is None else f" among {at!r}"
        raise ModelError(
            f"no Linear or convolution layer{where} reads an activation, so that nothing would be "
            "penalised; name layers behind an activation"
        )
    found = Sparsified(tuple(readers), strength, pull)
    for layer in readers.values():
        found._penalise(layer)
    for parameter, bias, axis in _incoming(model):
        found._draw(parameter, bias=bias, axis=axis)
    return found


class _Penalty:
    """Before a layer runs: its input with the gradient of the penalty added on the way back."""

    def __init__(self, width: int, settings: Sparsified) -> None:
        self._width, self._settings = width, settings

    def __call__(self, layer: nn.Module, inputs: tuple[Any, ...]) -> Any:
        if not (inputs and layer.training and torch.is_grad_enabled()):
            return None
        h, *others = inputs
        if not (isinstance(h, Tensor) and h.requires_grad and h.numel()):
            return None
        weight = self._settings.strength * self._width / h.numel()
        function: Any = _Penalised
        return (function.apply(h, weight), *others)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy of the model, and one from a file, is trained as ever."""
        return _no_penalty, ()


def _no_penalty() -> Any:
    return _nothing


def _nothing(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
    """What a copy's layer does before it runs."""


class _Penalised(torch.autograd.Function):
    """The identity, whose gradient has that of ``weight * sum(abs(h))`` added."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, weight: float) -> Tensor:
        ctx.save_for_backward(h)
        ctx.weight = weight
        return h.view_as(h)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (h,) = ctx.saved_tensors
        return grad.add(h.sign().to(grad.dtype), alpha=ctx.weight), None


class _Pull:
    """On a parameter's gradient: for units that had no part in the loss, one that empties them."""

    def __init__(self, parameter: Tensor, settings: Sparsified, bias: bool, axis: int) -> None:
        self._parameter, self._settings, self._bias, self._axis = parameter, settings, bias, axis

    def __call__(self, grad: Tensor) -> Tensor:
        others = [axis for axis in range(grad.ndim) if axis != self._axis]
        silent = (grad == 0).all(dim=others, keepdim=True) if others else grad == 0
        if self._bias:
            towards = torch.ones_like(grad)
        else:
            value = self._parameter.detach()
            length = vector_norm(value, dim=others, keepdim=True) if others else value.abs()
            towards = value / length.clamp_min(torch.finfo(value.dtype).tiny)
        return torch.where(silent, self._settings.pull * towards, grad)


def _width(layer: Any) -> int:
    """Units of a layer's input."""
    width: int = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
    return width


def _incoming(model: nn.Module) -> Iterator[tuple[Tensor, bool, int]]:
    """Yield parameters that make units, whether each is a bias, and the axis of its units."""
    seen: set[Tensor] = set()
    for module in model.modules():
        if not isinstance(module, WEIGHTED + _NORMS):
            continue
        transposed = "Transpose" in type(module).__name__
        for name, axis in (("weight", 1 if transposed else 0), ("bias", 0)):
            parameter = module._parameters.get(name)
            if parameter is not None and parameter.requires_grad and parameter not in seen:
                seen.add(parameter)
                yield parameter, name == "bias", axis


def _chosen(name: str, at: str | Iterable[str] | None) -> bool:
    patterns = ("*",) if at is None else (at,) if isinstance(at, str) else at
    return any(fnmatchcase(name, pattern) for pattern in patterns)
