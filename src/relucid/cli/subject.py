"""The user's subject: ``module:function``, which returns a model, its data and perhaps a loss.

For trials it may return, last, the optimizer that trains the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relucid.cli.data import load_data
from relucid.cli.user_code import call
from relucid.errors import SubjectError

if TYPE_CHECKING:
    from torch import nn

SHAPE = "(model, data), (model, data, loss) or (model, data, loss, optimizer)"


@dataclass(frozen=True)
class Subject:
    """What a verb works on."""

    name: str
    model: nn.Module
    data: Any
    loss: Callable[[Any, Any], Any] | None
    optimizer: Any = None
    """What trains the model, for trials: an optimizer, or a function of parameters."""


def load_subject(name: str, data: str | None, **arguments: Any) -> Subject:
    """Import ``module:function``, call it with the arguments, and check what it returns.

    ``data``, a file or another ``module:function``, takes the place of the subject's own; then
    the function may return the model alone.

    Raises :class:`~relucid.errors.SubjectError`.
    """
    returned = call(name, **arguments)
    parts = returned if isinstance(returned, tuple) else (returned,)
    if data is not None:
        parts = (parts[0], load_data(data), *parts[2:])
    _check(name, parts, data)
    return Subject(name, *parts[:2], *(*parts[2:], None, None)[:2])


def _check(name: str, parts: tuple[Any, ...], data: str | None) -> None:
    from torch import nn

    if not isinstance(parts[0], nn.Module):
        raise SubjectError(
            f"{name} must return {SHAPE} with a torch.nn.Module first, and its first value is a "
            f"{type(parts[0]).__name__}"
        )
    if len(parts) == 1 and data is None:
        raise SubjectError(f"{name} returned a model alone; return {SHAPE}, or add --data")
    if len(parts) > 4:
        raise SubjectError(f"{name} must return {SHAPE}, and it returned {len(parts)} values")
    loss, optimizer = (*parts[2:], None, None)[:2]
    if loss is not None and not callable(loss):
        raise SubjectError(
            f"the loss that {name} returned is a {type(loss).__name__}; return a function of "
            "(output, target)"
        )
    if not (optimizer is None or callable(optimizer) or hasattr(optimizer, "param_groups")):
        raise SubjectError(
            f"the optimizer that {name} returned is a {type(optimizer).__name__}; return a "
            "torch.optim.Optimizer, or a function of parameters that makes one"
        )
