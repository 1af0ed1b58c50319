"""The swap from its arguments to its result; what fails leaves nothing changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from relucid.errors import DataError, ModelError, ParameterError
from relucid.probes.batches import Batch
from relucid.probes.probe import check_model
from relucid.swap.gains import advice, reading_layers, scale
from relucid.swap.known import kind_of
from relucid.swap.maker import Maker, maker
from relucid.swap.outputs import difference, first_batch, outputs
from relucid.swap.replace import swap_attributes, swap_modules
from relucid.swap.reroute import look, swap_calls
from relucid.swap.result import CALLS_NOT_SOUGHT, Difference, Gain, Refused, Swapped
from relucid.swap.slots import accelerated, closed
from relucid.swap.wanted import Wanted, wanted
from relucid.swap.work import Work


def perform(
    model: nn.Module, old: Any, to: Any, *, at: Any, example: Any, right_gain: bool
) -> Swapped:
    """Make the swap: see :func:`relucid.swap`."""
    check_model(model)
    _check_open(model)
    sought, making = wanted(old, at), maker(to)
    _check_inputs(sought, making)
    batch = first_batch(example)
    if right_gain and batch is None:
        raise ParameterError(
            "right_gain scales the layers that read the new activations, which only a run shows: "
            "pass example=, a batch of inputs"
        )
    before = None if batch is None else outputs(model, batch)
    work = Work(model, sought, making)
    try:
        return _performed(work, batch, before, right_gain)
    except BaseException:
        work.ledger.undo()
        raise


def _performed(
    work: Work, batch: Batch | None, before: list[Tensor] | None, right_gain: bool
) -> Swapped:
    if batch is not None:
        look(work, batch)
    swap_modules(work)
    swap_attributes(work)
    _try_example(work, batch)
    _check_found(work, batch)
    gains, apart = _consequences(work, batch, before, right_gain)
    return Swapped(
        type(work.model).__name__,
        str(work.wanted),
        tuple(work.changed),
        tuple(Refused(path, why) for path, why in work.refused.items()),
        gains,
        apart,
        batch is not None,
        work.ledger,
    )


def _try_example(work: Work, batch: Batch | None) -> None:
    if batch is None:
        return
    try:
        swap_calls(work, batch)
    except DataError as error:  # it ran with the old activation
        raise ModelError(
            f"with the new activation the model fails on the example; nothing was changed: {error}"
        ) from error


def _consequences(
    work: Work, batch: Batch | None, before: list[Tensor] | None, right_gain: bool
) -> tuple[tuple[Gain, ...], Difference | None]:
    """Find the layers that the gain concerns, scale them if asked, and compare the outputs."""
    if batch is None or before is None:
        return advice(work.pairs, {}), None
    layers = reading_layers(work.model, batch, work.pairs)
    gains = advice(work.pairs, layers)
    if right_gain:
        scaled = scale(work.model, layers)
        work.ledger.add(*scaled.values())
        gains = tuple(
            replace(gain, scaled=tuple(name for name in gain.layers if name in scaled))
            for gain in gains
        )
    return gains, difference(before, outputs(work.model, batch))


def _check_open(model: nn.Module) -> None:
    reason = closed(model)
    if reason is not None:
        raise ModelError(f"{type(model).__name__} cannot be changed: {reason}")
    layer = accelerated(model)
    if layer is not None:
        raise ModelError(
            f"{type(model).__name__} is accelerated: its layer {layer!r} leaves out what the "
            "activation after it makes zero; undo that, swap, and accelerate again"
        )


def _check_inputs(sought: Wanted, making: Maker) -> None:
    """A function of two inputs can only replace another one."""
    new, old = making.activation, sought.activation
    if new is None or kind_of(new) == "elementwise" or sought.module_class is not None:
        return
    if old is None or kind_of(old) != kind_of(new):
        takes = {"two-input": "two inputs, a value and a gate", "vector": "a whole axis"}
        raise ParameterError(
            f"{new.name} takes {takes[kind_of(new)]}, and cannot replace {sought}; name a function "
            "of one number, as relucid.catalogue() has them"
        )


def _check_found(work: Work, batch: Batch | None) -> None:
    """Tell where nothing fits, with what the model has."""
    work.wanted.check_used()
    if work.changed or work.refused:
        return
    unsought = "" if batch is not None else f"; {CALLS_NOT_SOUGHT}"
    raise ModelError(
        f"{type(work.model).__name__} has no {work.wanted} to swap; it has: {work.inventory()}"
        f"{unsought}"
    )
