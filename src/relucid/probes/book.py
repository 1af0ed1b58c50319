"""The sites of a model, by name, and those that could not be observed."""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import Tensor

from relucid.probes.arrange import Arrangement, Part, arrange
from relucid.probes.counted import CountedSite, Where
from relucid.probes.gradients import GradientHook, GradientHooks
from relucid.probes.layers import Origin
from relucid.probes.recognise import Call
from relucid.probes.source import users_line
from relucid.probes.tensors import uncountable
from relucid.records import SiteRecord, Unobserved

CALLS = 256
"""Calls of one name in a pass that are told apart (a recurrent loop may make thousands)."""

WITHOUT_GRADIENT = (
    "its pre-activations carry no gradient: they depend on no trained parameter, or are made "
    "under torch.no_grad or reentrant checkpointing"
)


class Opened:
    """A site that was entered: z has been counted, h is still to come."""

    def __init__(self, site: CountedSite, part: Part, base: str, new: bool) -> None:
        self.site, self.part = site, part
        self.base, self.new = base, new
        self.hook: GradientHook | None = None

    def close(self, h: Any) -> None:
        """Count h."""
        if uncountable(h) is None:
            self.site.after(h, self.part)

    def withdraw(self) -> None:
        """Take the gradient's hook off again."""
        if self.hook is not None:
            self.hook.remove()


class Book:
    """Names sites in the order of their first call and keeps their counts."""

    def __init__(self, gradients: bool, values: int | None) -> None:
        self._sites: dict[tuple[Any, ...], CountedSite] = {}
        self._names: set[str] = set()
        self._calls: Counter[str] = Counter()
        self._gradients = gradients
        self._values, self._turn = values, -1
        self.hooks = GradientHooks()
        self._missed: dict[str, str] = {}
        self._without_gradient: set[str] = set()
        self.batch: int | None = None
        self.expects_gradients = False

    def begin_pass(self, batch: int | None, expects_gradients: bool) -> None:
        """Start counting calls from one again."""
        self._calls.clear()
        self.hooks.prune()
        self.batch, self.expects_gradients = batch, expects_gradients
        self._turn += 1

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
        arrangement = arrange(tuple(call.z.shape), origin, self.batch)
        key = (base, index, call.name, kind, *_form(call, arrangement))
        site = self._sites.get(key)
        new = site is None
        if site is None:
            source = None if kind == "module" else users_line()
            where = Where(self._name(base, index), kind, module, source)
            site = self._sites[key] = CountedSite(where, call, arrangement)
        part = arrangement.part(call.z, self._values, self._turn, flat=not call.elementwise)
        site.before(call.z, part, origin)
        opened = Opened(site, part, base, new)
        opened.hook = hook or self.hook(call.z)
        if opened.hook is not None:
            opened.hook.aim(site.gradient, part)
        elif self._gradients and self.expects_gradients:
            self._without_gradient.add(site.name)
        return opened

    def hook(self, z: Tensor) -> GradientHook | None:
        """Put a hook on z if gradients are wanted and can reach it."""
        return self.hooks.watch(z) if self._gradients and z.requires_grad else None

    def withdraw(self, opened: list[Opened]) -> None:
        """Remove sites again that turned out to be part of a larger one."""
        for one in opened:
            one.withdraw()
            self._names.discard(one.site.name)
            self._without_gradient.discard(one.site.name)
            self._sites = {k: s for k, s in self._sites.items() if s is not one.site}
            self._calls[one.base] -= 1

    def miss(self, name: str, reason: str) -> None:
        """Note an activation that cannot be counted."""
        self._missed.setdefault(name, reason)

    def unobserved(self) -> tuple[Unobserved, ...]:
        """Return what could not be counted; of missing gradients all in one."""
        missed = [Unobserved(name, reason) for name, reason in self._missed.items()]
        bare = [s.name for s in self._sites.values() if self._lacks_gradient(s)]
        if bare:
            more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
            missed.append(Unobserved(f"{bare[0]}{more} (gradient)", WITHOUT_GRADIENT))
        return tuple(missed)

    def _lacks_gradient(self, site: CountedSite) -> bool:
        return site.name in self._without_gradient and site.gradient.record() is None

    def paths(self) -> set[str]:
        """Paths of the modules that make observed calls."""
        return {site.path for site in self._sites.values()}

    def nonfinite(self) -> int:
        """Read how many non-finite values all sites have seen."""
        return sum(site.nonfinite() for site in self._sites.values())

    def records(self) -> tuple[SiteRecord, ...]:
        """Read all counts."""
        return tuple(site.record(order) for order, site in enumerate(self._sites.values()))

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
    view, axis = arrangement.three_axes(call.z.detach())
    return call.z.ndim, view.shape[axis]
