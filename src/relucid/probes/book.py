"""The sites of a model, by name, and those that could not be observed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from relucid.probes.arrange import Arrangement, Form, Part, arrange
from relucid.probes.counted import CountedSite, Where
from relucid.probes.gradients import GradientHook, GradientHooks
from relucid.probes.history import When, thorough
from relucid.probes.layers import Origin
from relucid.probes.recognise import Call
from relucid.probes.source import users_line
from relucid.probes.tensors import uncountable
from relucid.records import Reader, SiteHistory, SiteRecord, Unobserved

CALLS = 256
"""Calls of one name in a pass that are told apart (a recurrent loop may make thousands)."""

UNFOLLOWED = (
    "first called in a pass whose tensors were not followed; it is counted from its next call in a "
    "pass in which they are: the next pass, and each eighth"
)

SEEN = 1 << 12
"""Calls, told apart by shape too, for which it is remembered how to read them."""

Arrays = dict[str, NDArray[np.float64]]

WITHOUT_GRADIENT = (
    "its pre-activations carry no gradient: they depend on no trained parameter, or are made "
    "under torch.no_grad or reentrant checkpointing"
)


class Opened:
    """A site that was entered: z has been counted, h is still to come."""

    def __init__(
        self, site: CountedSite, part: Part, base: str, new: bool, lock: AbstractContextManager[Any]
    ) -> None:
        self.site, self.part, self._lock = site, part, lock
        self.base, self.new = base, new
        self.hook: GradientHook | None = None

    def close(self, h: Any) -> None:
        """Count h."""
        if uncountable(h) is None:
            with self._lock:
                self.site.after(h, self.part)

    def withdraw(self) -> None:
        """Take the gradient's hook off again."""
        if self.hook is not None:
            self.hook.remove()


class Book:
    """Names sites in the order of their first call and keeps their counts."""

    def __init__(self, gradients: bool, values: int | None, window: int | None) -> None:
        self._sites: dict[tuple[Any, ...], CountedSite] = {}
        self._seen: dict[tuple[Any, ...], tuple[CountedSite, Form]] = {}
        self._names: set[str] = set()
        self._calls: Counter[str] = Counter()
        self._gradients = gradients
        self._values, self._window = values, window
        self._when = When(-1, -1)
        self._lock = RLock()  # one thread may read, or run backward, while another one counts
        self.hooks = GradientHooks(self._lock)
        self._missed: dict[str, str] = {}
        self._without_gradient: set[str] = set()
        self._origins: dict[tuple[Any, ...], Origin | None] = {}
        self._unfollowed: dict[tuple[Any, ...], str] = {}
        self._surprised = False
        self.follows = True
        """Whether tensors are followed in this pass, to know which layer they come from."""
        self.batch: int | None = None
        self.expects_gradients = False
        self.readers: dict[str, Reader] = {}
        """The layers that read the sites' outputs, by the sites' names."""

    def begin_pass(self, batch: int | None, expects_gradients: bool, step: int) -> None:
        """Start counting calls from one again, in the model's call number ``step``."""
        self._calls.clear()
        self.hooks.prune()
        self.batch, self.expects_gradients = batch, expects_gradients
        turn = self._when.turn + 1
        self._when = When(turn, step)
        self.follows = self._values is None or self._surprised or thorough(turn)
        self._surprised = False

    def open(
        self,
        call: Call,
        base: str,
        kind: Any,
        module: str,
        origin: Origin | None,
        hook: GradientHook | None = None,
    ) -> Opened | None:
        """Count z at the site of this call, or note why that cannot be.

        ``hook`` is the hook on z, where one was put there before the call was understood.
        """
        self._calls[base] += 1
        index = self._calls[base]
        reason = uncountable(call.z)
        if reason is None and index > CALLS:
            reason = f"called more than {CALLS} times in a pass; later calls are not counted"
            base = f"{base}#{CALLS + 1}"
        if reason is not None:
            self.miss(base, reason)
            return None
        place = (base, index, call.name, kind, call.z.ndim)
        if self.follows:
            self._origins[place] = origin
        elif place not in self._origins:
            self._surprised = True
            self._unfollowed[place] = base if index == 1 else f"{base}#{index}"
            return None
        origin = self._origins[place]
        from_end = None if origin is None else origin.channels_from_end
        seen = (base, index, call.name, kind, call.z.shape, from_end, self.batch)
        with self._lock:
            sites = len(self._sites)
            site, form = self._seen.get(seen) or self._learn(seen, call, module, origin)
            new, when = len(self._sites) > sites, self._when
            part = form.part(when.turn)
            site.before(call.z, part, origin, when)
        opened = Opened(site, part, base, new, self._lock)
        opened.hook = hook or self.hook(call.z)
        if opened.hook is not None:
            opened.hook.aim(partial(site.backward, part=part, when=when))
        elif self._gradients and self.expects_gradients:
            self._without_gradient.add(site.name)
        return opened

    def _learn(
        self, seen: tuple[Any, ...], call: Call, module: str, origin: Origin | None
    ) -> tuple[CountedSite, Form]:
        """Find out whose call this is, perhaps a new site's, and how it is read."""
        base, index, name, kind, shape, _, batch = seen
        arrangement = arrange(tuple(shape), origin, batch)
        key = (base, index, name, kind, *_form(call, arrangement))
        site = self._sites.get(key)
        if site is None:
            source = None if kind == "module" else users_line()
            where = Where(self._name(base, index), kind, module, source)
            site = self._sites[key] = CountedSite(where, call, arrangement, self._window)
        if len(self._seen) >= SEEN:
            self._seen.clear()
        form = Form(arrangement, shape, self._values, not call.elementwise)
        self._seen[seen] = site, form
        return site, form

    def hook(self, z: Tensor) -> GradientHook | None:
        """Put a hook on z if gradients are wanted and can reach it."""
        return self.hooks.watch(z) if self._gradients and z.requires_grad else None

    def withdraw(self, opened: list[Opened]) -> None:
        """Remove sites again that turned out to be part of a larger one."""
        for one in opened:
            one.withdraw()
            self._names.discard(one.site.name)
            self._calls[one.base] -= 1
            with self._lock:
                self._without_gradient.discard(one.site.name)
                self._sites = {k: s for k, s in self._sites.items() if s is not one.site}
                self._seen.clear()

    def miss(self, name: str, reason: str) -> None:
        """Note an activation that cannot be counted."""
        with self._lock:
            self._missed.setdefault(name, reason)

    def unobserved(self) -> tuple[Unobserved, ...]:
        """Return what could not be counted; of missing gradients all in one."""
        with self._lock:
            missed = [Unobserved(name, reason) for name, reason in self._missed.items()]
            strange = self._unfollowed.keys() - self._origins.keys()
            missed += [Unobserved(self._unfollowed[place], UNFOLLOWED) for place in strange]
            bare = [s.name for s in self._sites.values() if self._lacks_gradient(s)]
        if bare:
            more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
            missed.append(Unobserved(f"{bare[0]}{more} (gradient)", WITHOUT_GRADIENT))
        return tuple(missed)

    def _lacks_gradient(self, site: CountedSite) -> bool:
        return site.name in self._without_gradient and site.gradient.record() is None

    def paths(self) -> set[str]:
        """Paths of the modules that make observed calls."""
        with self._lock:
            return {site.path for site in self._sites.values()}

    def nonfinite(self) -> int:
        """Read how many non-finite values all sites have seen."""
        with self._lock:
            return sum(site.nonfinite() for site in self._sites.values())

    def histories(self) -> dict[str, SiteHistory]:
        """Read the history of each site, by name; empty where none is kept."""
        found = {site.name: site.history() for site in self._sites.values()}
        return {name: history for name, history in found.items() if history is not None}

    def records(self) -> tuple[SiteRecord, ...]:
        """Read all counts."""
        with self._lock:
            sites = enumerate(self._sites.values())
            return tuple(site.record(order, self.readers.get(site.name)) for order, site in sites)

    def state(self, turn: int | None = None) -> tuple[dict[str, Any], Arrays]:
        """Read what :meth:`put` needs: a description in plain values, and all counts."""
        with self._lock:
            turn = self._when.turn if turn is None else turn
            about = {
                "when": self._when,
                "missed": dict(self._missed),
                "without_gradient": sorted(self._without_gradient),
                "sites": [{"key": key, **site.about()} for key, site in self._sites.items()],
            }
            return about, {
                f"{site.name}/{field}": array
                for site in self._sites.values()
                for field, array in site.state(max(turn, 0)).items()
            }

    @property
    def turn(self) -> int:
        """Number of the last sampled pass, from 0; -1 before the first."""
        return self._when.turn

    def sites(self) -> list[str]:
        """Describe each site in a line: name, function, units."""
        return [site.in_words() for site in self._sites.values()]

    def with_counts(self, arrays: Arrays, ranks: int) -> Book:
        """Return a book of the same sites with the counts of ``ranks``, as of :meth:`state`."""
        book = Book(self._gradients, self._values, self._window)
        book.put(self.state()[0], arrays)
        book.readers = self.readers
        for key, site in book._sites.items():
            site.origin = self._sites[key].origin
            site.add_ranks(ranks)
        return book

    def put(self, about: Mapping[str, Any], arrays: Arrays) -> None:
        """Go on from what :meth:`state` read; what was counted here before is dropped."""
        sites: dict[tuple[Any, ...], CountedSite] = {}
        of_site: dict[str, Arrays] = defaultdict(dict)
        for name, array in arrays.items():
            site_name, _, field = name.rpartition("/")
            of_site[site_name][field] = array
        for one in about["sites"]:
            site = sites[tuple(one["key"])] = CountedSite.described(one, self._window)
            site.put(of_site[site.name])
        self._when = When(*about["when"])
        self._missed = dict(about["missed"])
        self._without_gradient = set(about["without_gradient"])
        self._sites, self._names = sites, {site.name for site in sites.values()}
        self._seen.clear()
        self._origins.clear()
        self._surprised = True

    def _name(self, base: str, index: int) -> str:
        """Return a new name, numbered from the second call on."""
        name = base if index == 1 else f"{base}#{index}"
        while name in self._names:
            index += 1
            name = f"{base}#{index}"
        self._names.add(name)
        return name


def _form(call: Call, arrangement: Arrangement) -> tuple[int, ...]:
    """Return what makes it another site when it changes: dimensions and units."""
    if not call.elementwise:
        return ()
    return call.z.ndim, arrangement.units(tuple(call.z.shape))
