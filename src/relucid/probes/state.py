"""All counts of a watch as tensors, to be saved with a checkpoint and gone on from.

The form is a flat dictionary of tensors: ``site/name`` in float64, and one with a JSON text that
says what they are. ``torch.load(weights_only=True)`` and safetensors read it as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from relucid.errors import ModelError, RecordError
from relucid.probes.book import Book

VERSION = 1
ABOUT = "relucid"
"""The key of the description."""
SHOWN = 4
"""Differences that an error names."""


def write(book: Book, model: nn.Module, numbers: dict[str, Any]) -> dict[str, Tensor]:
    """Return the counts of a book as tensors on the CPU; ``numbers`` go into the description."""
    about, arrays = book.state()
    about = {"version": VERSION, "model": _described(model), "watch": numbers, **about}
    text = json.dumps(about).encode()
    state = {name: torch.tensor(array) for name, array in arrays.items()}
    return {ABOUT: torch.frombuffer(bytearray(text), dtype=torch.uint8), **state}


def read(book: Book, model: nn.Module, state: Mapping[str, Any]) -> dict[str, Any]:
    """Fill a book from what :func:`write` returned, and return the ``numbers``.

    Raises :class:`~relucid.errors.RecordError` where the state is damaged, and
    :class:`~relucid.errors.ModelError` where it was counted on another model. Then the book is
    as it was.
    """
    about = _about(state)
    differences = list(_differences(about["model"], _described(model)))
    if differences:
        more = len(differences) - SHOWN
        named = "; ".join(differences[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise ModelError(
            f"this state was counted on another model: {named}. Load it into a probe of the same "
            "model, wrapped or compiled in the same way, or begin a new watch"
        )
    arrays = {name: value.double().numpy() for name, value in state.items() if name != ABOUT}
    try:
        book.put(about, arrays)
    except ModelError:  # which is a ValueError
        raise
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise RecordError(
            f"this state is damaged ({error!r}); load one that probe.state_dict() gave, whole"
        ) from error
    numbers: dict[str, Any] = about["watch"]
    return numbers


def _about(state: Mapping[str, Any]) -> dict[str, Any]:
    told = state.get(ABOUT) if isinstance(state, Mapping) else None
    if not isinstance(told, Tensor) or told.dtype is not torch.uint8:
        raise RecordError("this is no state of a probe; load what probe.state_dict() returned")
    try:
        about: dict[str, Any] = json.loads(bytes(told.tolist()))
        version = about["version"]
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(
            f"the description of this state is damaged ({error!r}); load one that "
            "probe.state_dict() gave"
        ) from error
    if version != VERSION:
        raise RecordError(
            f"this state is of version {version!r} and this relucid reads version {VERSION}; load "
            "it with the relucid that wrote it, or begin a new watch"
        )
    return about


def _described(model: nn.Module) -> dict[str, Any]:
    """What tells models apart: shapes of the parameters, and the class of each leaf module."""
    shapes = {n: None if is_lazy(p) else [*p.shape] for n, p in model.named_parameters()}
    leaves = (one for one in model.named_modules() if next(one[1].children(), None) is None)
    return {"parameters": shapes, "modules": {path: type(one).__name__ for path, one in leaves}}


def _differences(then: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for path, before, after in _pairs(then["modules"], now["modules"]):
        yield f"{path or 'the model'} was {before or 'not there'} and is {after or 'not there'}"
    for name, before, after in _pairs(then["parameters"], now["parameters"]):
        if before is not None and after is not None:  # a missing one was told as its module
            yield f"{name} was of shape {tuple(before)} and is of shape {tuple(after)}"


def _pairs(then: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield what differs, those of before first; None where there is nothing."""
    for name in {**then, **now}:
        if then.get(name) != now.get(name):
            yield name, then.get(name), now.get(name)
