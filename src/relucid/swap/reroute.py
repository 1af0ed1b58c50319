"""Calls of functions, found by running an example and routed to new modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from typing import NamedTuple

from torch import nn

from relucid.probes.batches import Batch
from relucid.swap.calls import Seen, SeenCall, see
from relucid.swap.expression import Rewritable, rewritable, unreached
from relucid.swap.known import kind_of
from relucid.swap.ledger import MISSING, Entry, Reclassed, Step
from relucid.swap.maker import Place
from relucid.swap.rewrite import rewritten
from relucid.swap.source import Cannot
from relucid.swap.work import Key, Work


class Group(NamedTuple):
    """The calls of one expression in a pass: of one in a loop several."""

    calls: list[SeenCall]

    @property
    def first(self) -> SeenCall:
        """The call that names the site."""
        return self.calls[0]


class Route(NamedTuple):
    """An expression, how it is rewritten, and the new module that it calls then."""

    group: Group
    how: Rewritable
    name: str
    place: Place
    new: nn.Module


class Rerouted(NamedTuple):
    """A module whose calls go to new modules, and the steps that did it."""

    owner: nn.Module
    routes: list[Route]
    steps: list[Step]

    @property
    def keys(self) -> list[Key]:
        """The calls as they were."""
        return [_key(route.group.first) for route in self.routes]


def look(work: Work, batch: Batch) -> None:
    """Run the batch through the model as it is: learn what its modules are, and name its calls."""
    seen = see(work.model, batch)
    for call in seen.calls:
        if call.kind == "module" and call.path:
            module = work.model.get_submodule(call.path)
            work.known.verdicts.setdefault(id(module), call.activation)
    for key, group in _groups(seen.calls).items():
        work.names.setdefault(key, group.first.name)
    for missed in seen.missed:
        if work.may_hide(missed.name.rpartition(".")[2]) and work.wanted.named(missed.name):
            work.refused.setdefault(missed.name, missed.reason)


def swap_calls(work: Work, batch: Batch) -> None:
    """Run the batch, route the calls that are still the wanted function, and see that it is so."""
    groups = list(_wanted_groups(work, see(work.model, batch)))
    done = [_reroute(work, path, routes) for path, routes in _by_owner(work, groups).items()]
    if not any(routed.steps for routed in done):
        return
    _list_unreached(work, done, groups)
    left = _groups(see(work.model, batch).calls)
    for routed in done:
        if any(key in left for key in routed.keys):
            _take_back(work, routed)


def _groups(calls: Iterable[SeenCall]) -> dict[Key, Group]:
    """The calls that no module of the model's is, by expression."""
    groups: dict[Key, Group] = {}
    for call in calls:
        if call.kind != "module" or not call.path:
            groups.setdefault(_key(call), Group([])).calls.append(call)
    return groups


def _key(call: SeenCall) -> Key:
    return call.path, call.expression or call.name


def _wanted_groups(work: Work, seen: Seen) -> Iterator[Group]:
    """Yield the expressions that call the wanted function, under the names they had at first."""
    for key, group in _groups(seen.calls).items():
        call = group.first
        if work.is_new(call.path) or call.path in work.refused:
            continue
        name = work.names.get(key, call.name)
        work.met(name, call.function)
        wanted = work.wanted.takes_call(call.function, call.activation)
        if wanted and work.wanted.named(name):
            yield Group([replace(call, name=name), *group.calls[1:]])


def _by_owner(work: Work, groups: Iterable[Group]) -> dict[str, list[Route]]:
    """The calls that can be routed, by the module that makes them; the others are refused."""
    found: dict[str, list[Route]] = {}
    for group in groups:
        call = group.first
        routes = found.setdefault(call.path, [])
        try:
            routes.append(_route(work, group, taken={route.name for route in routes}))
        except Cannot as error:
            _refuse(work, call, error)
    return {path: routes for path, routes in found.items() if routes}


def _route(work: Work, group: Group, taken: set[str]) -> Route:
    call = group.first
    _check_inputs(work, call)
    owner = work.model.get_submodule(call.path)
    how = rewritable(call, owner)
    name = _free_name(owner, work.new_name, taken)
    place = work.place(f"{call.path}.{name}" if call.path else name, owner, how.inplace)
    new = work.make(place, call.activation, None)
    if isinstance(new, str):
        raise Cannot(new)
    return Route(group, how, name, place, new)


def _check_inputs(work: Work, call: SeenCall) -> None:
    if call.kind == "module":
        raise Cannot("the model is this activation itself, and cannot replace itself")
    if call.activation is None:
        raise Cannot("it is called with parameters that are not declared")
    if kind_of(call.activation) != "elementwise":
        raise Cannot(f"{call.function} acts along an axis, which the call says")


def _refuse(work: Work, call: SeenCall, error: Cannot) -> None:
    where = f" ({call.source})" if call.source else ""
    work.refused[call.name] = f"{error}{where}"


def _reroute(work: Work, path: str, routes: list[Route]) -> Rerouted:
    """Give a module the class in which these of its calls go to new modules."""
    owner = work.model.get_submodule(path)
    cls = type(owner)
    try:
        changed_class = rewritten(cls, tuple(route.how.edit(route.name) for route in routes))
    except Cannot as error:
        for route in routes:
            _refuse(work, route.group.first, error)
        return Rerouted(owner, [], [])
    steps: list[Step] = []
    for group, _, name, place, new in routes:
        call = group.first
        steps.append(Entry(owner._modules, name, MISSING, new).make())
        work.note(call.name, call.activation, None, new, "call", place, *_told(group, place.path))
    steps.append(Reclassed(owner, cls, changed_class).make())
    work.ledger.add(*steps)
    return Rerouted(owner, routes, steps)


def _take_back(work: Work, done: Rerouted) -> None:
    """Refuse calls that are made past the class: by a bound method that was kept before."""
    work.ledger.withdraw(done.steps)
    for route in done.routes:
        why = "something holds the method that calls it as it was, and calls that"
        _refuse(work, route.group.first, Cannot(why))
        work.forget(route.group.first.name, route.new)


def _list_unreached(work: Work, done: Iterable[Rerouted], groups: Iterable[Group]) -> None:
    """List further calls of the function in the methods that were rewritten: branches, mostly."""
    known = [call.expression for group in groups for call in group.calls if call.expression]
    seen = {(expression.code.co_filename, expression.end) for expression in known}
    for owner, routes, _ in done:
        for route in routes:
            call, filename = route.group.first, route.how.method.function.__code__.co_filename
            for node in unreached(route.how, call, owner):
                if (filename, (node.end_lineno, node.end_col_offset)) not in seen:
                    file = call.source.rpartition(":")[0]
                    site = f"{call.path}.{call.function}" if call.path else call.function
                    work.refused[f"{site} ({file}:{node.lineno})"] = (
                        "the example does not reach it: it is in a branch that was not taken in "
                        "evaluation mode"
                    )


def _free_name(owner: nn.Module, base: str, taken: set[str]) -> str:
    candidates = (base if k == 1 else f"{base}_{k}" for k in count(1))
    return next(name for name in candidates if name not in taken and not hasattr(owner, name))


def _told(group: Group, site: str) -> Iterator[str]:
    """What there is to know of a call that was routed."""
    call = group.first
    yield f"{call.source}, now {site}" if call.source else f"now {site}"
    if len(group.calls) > 1:
        yield f"one for its {len(group.calls)} calls in a pass"
    if call.learned:
        yield f"{', '.join(call.learned)} not used any more"
