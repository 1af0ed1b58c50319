"""Modules, and functions kept as attributes, replaced by new modules."""

from __future__ import annotations

from typing import Any

from torch import nn

from relucid.functions import Activation
from relucid.swap.expression import check_children
from relucid.swap.known import kind_of, of_function
from relucid.swap.ledger import MISSING, Entry
from relucid.swap.slots import Slot, mend_encoders, mend_layer, slots, trouble_with
from relucid.swap.source import Cannot
from relucid.swap.wanted import described
from relucid.swap.work import Work


def swap_modules(work: Work) -> None:
    """Replace the modules that are the wanted function, each place by one of its own."""
    for slot in slots(work.model):
        if work.passes_over(slot.path, slot.module):
            continue
        found = work.known.of(slot.module)
        if found is not None:
            work.met(slot.path, described(found))
        if work.wanted.takes(found, slot.module) and work.wanted.named(*slot.paths):
            _swap_module(work, slot, found)
        elif isinstance(slot.module, nn.RNNBase | nn.RNNCellBase):
            _list_gates(work, slot)
    work.ledger.add(*mend_encoders(work.model))


def swap_attributes(work: Work) -> None:
    """Replace the functions that modules keep as attributes."""
    for path, module in work.model.named_modules():
        if work.passes_over(path, module) or work.known.of(module) is not None:
            continue
        for name, value in list(vars(module).items()):
            found = of_function(value)
            if found is None:
                continue
            site = f"{path}.{name}" if path else name
            work.met(site, described(found))
            if work.wanted.takes(found) and work.wanted.named(site):
                _swap_attribute(work, site, module, name, found)
    work.ledger.add(*mend_encoders(work.model))


def _swap_module(work: Work, slot: Slot, found: Activation | None) -> None:
    axis = getattr(slot.module, "dim", None) if kind_of(found) != "elementwise" else None
    inplace = bool(getattr(slot.module, "inplace", False))
    place = work.place(slot.path, slot.module, inplace, axis)
    new = trouble_with(work.model, slot) or work.make(place, found, slot.module)
    if isinstance(new, str):
        work.refused[slot.path] = new
        return
    work.ledger.add(
        Entry(slot.parent._modules, slot.name, slot.module, new).make(),
        *mend_layer(slot.parent, slot.name, work.known.of(new)),
    )
    also = f"also {', '.join(slot.paths[1:])}" if len(slot.paths) > 1 else ""
    work.note(slot.path, found, slot.module, new, "module", place, also)


def _swap_attribute(work: Work, site: str, module: nn.Module, name: str, found: Activation) -> None:
    value = vars(module)[name]
    place = work.place(site, module, _is_inplace(value))
    new = _attribute_trouble(module, name) or work.make(place, found, value)
    if isinstance(new, str):
        work.refused[site] = new
        return
    work.ledger.add(
        Entry(vars(module), name, value, MISSING).make(),
        Entry(module._modules, name, MISSING, new).make(),
        *mend_layer(module, name, work.known.of(new)),
    )
    work.note(site, found, value, new, "attribute", place)


def _attribute_trouble(module: nn.Module, name: str) -> str | None:
    """Why a module cannot stand where a function is kept, or None."""
    if hasattr(type(module), name):
        return f"{type(module).__name__} has a class attribute of that name, which would come first"
    try:
        check_children(module)
    except Cannot as error:
        return str(error)
    return None


def _is_inplace(function: Any) -> bool:
    """Whether a function, or a partial of one, writes into its argument."""
    spelled = getattr(getattr(function, "func", function), "__name__", "")
    return spelled.endswith("_") or bool(getattr(function, "keywords", {}).get("inplace", False))


def _list_gates(work: Work, slot: Slot) -> None:
    """List the functions inside PyTorch's recurrent layers, which are fused."""
    site = f"{slot.path}.gates"
    if work.may_hide("gates") and work.wanted.named(site):
        kind = type(slot.module).__name__
        work.refused[site] = f"the gates of {kind} are computed inside one fused call"
