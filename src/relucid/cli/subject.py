"""The user's subject: ``module:function``, which returns a model, its data and perhaps a loss."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relucid.cli.data import load_data
from relucid.errors import SubjectError

if TYPE_CHECKING:
    from torch import nn

SHAPE = "(model, data) or (model, data, loss)"


@dataclass(frozen=True)
class Subject:
    """What a verb works on."""

    name: str
    model: nn.Module
    data: Any
    loss: Callable[[Any, Any], Any] | None


def load_subject(name: str, data: str | None) -> Subject:
    """Import ``module:function``, call it, and check what it returns.

    ``data``, a file or another ``module:function``, takes the place of the subject's own; then
    the function may return the model alone.

    Raises :class:`~relucid.errors.SubjectError`.
    """
    returned = call(name)
    parts = returned if isinstance(returned, tuple) else (returned,)
    if data is not None:
        parts = (parts[0], load_data(data), *parts[2:])
    _check(name, parts, data)
    return Subject(name, parts[0], parts[1], parts[2] if len(parts) == 3 else None)


def call(name: str) -> Any:
    """Call the function that ``module:function`` names, with the current folder importable."""
    module_name, colon, function_name = name.partition(":")
    if not (module_name and colon and function_name):
        raise SubjectError(
            f"{name!r} is no module:function; write for example train:subject for the function "
            "subject in train.py"
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name.removesuffix(".py"))
    except ModuleNotFoundError as error:
        if error.name != module_name.partition(".")[0]:
            raise SubjectError(f"importing {module_name!r} failed: {error}") from error
        raise SubjectError(
            f"there is no module {module_name!r} in {here} or among the installed packages; run "
            f"relucid in the folder that holds {module_name}.py"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        offered = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise SubjectError(
            f"{module_name} has no function {function_name!r}; it offers: "
            f"{', '.join(offered[:8]) or 'none'}"
        )
    return function()


def _check(name: str, parts: tuple[Any, ...], data: str | None) -> None:
    from torch import nn

    if not isinstance(parts[0], nn.Module):
        raise SubjectError(
            f"{name} must return {SHAPE} with a torch.nn.Module first, and its first value is a "
            f"{type(parts[0]).__name__}"
        )
    if len(parts) == 1 and data is None:
        raise SubjectError(f"{name} returned a model alone; return {SHAPE}, or add --data")
    if len(parts) > 3:
        raise SubjectError(f"{name} must return {SHAPE}, and it returned {len(parts)} values")
    if len(parts) == 3 and parts[2] is not None and not callable(parts[2]):
        raise SubjectError(
            f"the loss that {name} returned is a {type(parts[2]).__name__}; return a function of "
            "(output, target)"
        )
