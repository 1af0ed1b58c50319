"""The gain that goes with the new function, and the layers that it concerns."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from relucid.errors import ParameterError
from relucid.functions import Activation
from relucid.nn import gain
from relucid.nn.flow import WEIGHTED, Flow, Origin
from relucid.probes.batches import Batch, ordinary
from relucid.probes.undisturbed import undisturbed
from relucid.swap.ledger import Scaled
from relucid.swap.result import Gain
from relucid.swap.wanted import described


class Pair(NamedTuple):
    """A module that was put in, with the functions before and now, where they are known."""

    module: nn.Module
    old: Activation | None
    new: Activation | None


def advice(pairs: Iterable[Pair], layers: Mapping[str, Gain]) -> tuple[Gain, ...]:
    """Return one advice for each pair of functions, with the layers that it concerns."""
    found = dict.fromkeys(g for g in map(gain_of, pairs) if g is not None)
    return tuple(
        replace(one, layers=tuple(name for name, its in layers.items() if its == one))
        for one in found
    )


def gain_of(pair: Pair) -> Gain | None:
    """The gains of both functions; None where one has none."""
    if pair.old is None or pair.new is None:
        return None
    try:
        gains = gain(pair.old), gain(pair.new)
    except ParameterError:
        return None
    if not all(map(math.isfinite, gains)):
        return None
    return Gain(described(pair.old), described(pair.new), *gains)


def reading_layers(model: nn.Module, batch: Batch, pairs: Iterable[Pair]) -> dict[str, Gain]:
    """Run a batch and return the layers that read new activations, and nothing else.

    Views, dropout and pooling are looked through, as :func:`relucid.nn.init_` does.
    """
    gains = {pair.module: one for pair in pairs if (one := gain_of(pair)) is not None}
    flow, read = Flow(), dict[nn.Module, set[Gain | None]]()
    origins = {gain: Origin(f"swapped {k}") for k, gain in enumerate(set(gains.values()))}
    back = {origin: gain for gain, origin in origins.items()}

    def enter(layer: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        origin = flow.origin(args[0] if args else kwargs.get("input"))
        read.setdefault(layer, set()).add(back.get(origin))

    def leave(origin: Origin, module: nn.Module, args: Any, output: Any) -> None:
        flow.remember(output, origin)

    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(undisturbed(model, evaluate=True))
        for module in model.modules():
            if isinstance(module, WEIGHTED):
                hook = module.register_forward_pre_hook(enter, with_kwargs=True)
                stack.callback(hook.remove)
            if module in gains:
                note = partial(leave, origins[gains[module]])
                stack.callback(module.register_forward_hook(note).remove)
        with torch.no_grad(), flow:
            batch.mapped(ordinary).call(model)
    names = {module: name for name, module in model.named_modules()}
    alone = ((layer, next(iter(one))) for layer, one in read.items() if len(one) == 1)
    return {names[layer]: its for layer, its in alone if its is not None}


def scale(model: nn.Module, layers: Mapping[str, Gain]) -> dict[str, Scaled]:
    """Scale the weights of layers by their factor: those that are their own, and trained."""
    holders = Counter(id(p) for m in model.modules() for p in m._parameters.values())
    weights = {name: model.get_submodule(name)._parameters.get("weight") for name in layers}
    return {
        name: Scaled.by(weight, layers[name].factor)
        for name, weight in weights.items()
        if weight is not None and _is_free(weight, holders)
    }


def _is_free(weight: Tensor, holders: Mapping[int, int]) -> bool:
    """Whether a weight is no other module's too, not frozen, and of a known shape."""
    return weight.requires_grad and holders[id(weight)] == 1 and not is_lazy(weight)
