"""Bounds of every site's pre-activations over a domain: passes of the model under a shadow."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from relucid.functions import Activation
from relucid.functions.bridge import speak_torch, torch_routes
from relucid.probes.arrange import Arrangement
from relucid.probes.batches import Batch, few
from relucid.probes.book import Book, Opened
from relucid.probes.bounds.declared import BoundedRoutes
from relucid.probes.bounds.domain import Boxes, bound_of
from relucid.probes.bounds.shadow import Exits, Shadow
from relucid.probes.fast_path import fast_path
from relucid.probes.finder import Finder
from relucid.probes.probe import batch_size
from relucid.probes.recognise import Call, of_module
from relucid.probes.walk import Frame, Paths, Role
from relucid.records import Bounds, Domain, Gap, Observation

PATHS = 16
"""Courses of a model that branches on its inputs which are followed; each is a whole pass."""
ELSEWHERE = "another course of the model, which depends on values of its inputs"
MANY = f"the course of the model, which takes more than {PATHS} ways"

Verdicts = Mapping[int, Activation | None]
Progress = Callable[[int, int], object]


def with_bounds(
    observation: Observation,
    model: nn.Module,
    batch: Batch,
    boxes: Boxes,
    verdicts: Verdicts,
    progress: Progress | None = None,
) -> Observation:
    """Return the observation with the bounds of its sites over the domain.

    ``model`` is in eval mode; ``batch`` gives the shapes of the inputs. ``verdicts`` is what the
    observation's finder found custom modules to be. ``progress`` is called at each site with the
    sites that are bounded and how many there are, on each course of the model that is known.

    **Why the bounds hold.** For each operator that the model runs, an interval for every number
    of its result follows from the intervals of its operands: exact arithmetic on the ends, done
    in float64, moved outward by a bound of the rounding that the model's own kernel makes
    (gamma_n = n u / (1 - n u) for a sum of n products, some roundoffs for a function) and of
    ours. By induction they enclose what the model *computes*, in its own dtype, not only what it
    would without rounding. Where it branches on its inputs every way is followed, up to
    :data:`PATHS`; what is decided otherwise by values is unknown from there on.
    """
    given = few(batch)
    ways, every = _Ways(), len(observation.sites)

    def reached(sites: int) -> None:
        if progress is not None:
            progress(*ways.progress(sites, every))

    for decisions in ways:
        reached(0)
        ways.add(_one_pass(model, given, boxes, dict(verdicts), decisions, reached))
    reached(every)
    sites = tuple(
        replace(s, bounds=ways.bounds(s.site.name, s.site.units)) for s in observation.sites
    )
    inputs = {n: _described(t, b) for n, t, b in boxes.inputs(given)}
    return replace(observation, sites=sites, domain=Domain(inputs, ways.gaps()))


@dataclass
class _Found:
    """One pass: what holds at each site, what limits it, and where the model branched."""

    bounds: dict[str, Bounds]
    causes: dict[str, frozenset[str]]
    answers: tuple[bool, ...]
    lost: str | None = None
    failed: str | None = None


class _Ways:
    """The courses that a model can take, and what holds on all of them together."""

    def __init__(self) -> None:
        self._waiting: list[tuple[bool, ...]] = [()]
        self._bounds: dict[str, Bounds] = {}
        self._causes: dict[str, frozenset[str]] = {}
        self._passes = 0
        self._given: tuple[bool, ...] = ()
        self._stopped: str | None = None
        self._known: list[set[str]] = []

    def __iter__(self) -> Iterator[tuple[bool, ...]]:
        while self._waiting and self._passes < PATHS:
            self._passes += 1
            self._given = self._waiting.pop()
            yield self._given

    def progress(self, reached: int, sites: int) -> tuple[int, int]:
        """Return the sites that are done on all courses, ``reached`` of this one, and of how many.

        What a course leaves out counts as done when it ends.
        """
        known = min(self._passes + len(self._waiting), PATHS)
        return (self._passes - 1) * sites + min(reached, sites), known * sites

    def add(self, found: _Found) -> None:
        """Join the bounds of another course; where it branched, put the other way on the list."""
        for turn in range(len(self._given), len(found.answers)):
            self._waiting.append((*found.answers[:turn], not found.answers[turn]))
        for name, bounds in found.bounds.items():
            known = self._bounds.get(name)
            self._bounds[name] = bounds if known is None else _hull(known, bounds)
            self._causes[name] = self._causes.get(name, frozenset()) | found.causes[name]
        if found.failed is not None:
            self._stopped = found.failed
        if found.lost is not None:  # on this course it may come to any of the others' sites
            self._known.append(set(found.bounds))

    def bounds(self, name: str, units: int) -> Bounds | None:
        """Return the bounds of a site; None where no course came to it in this form."""
        found = self._bounds.get(name)
        if found is None or len(found.lower) != units:
            return None
        return found if self._limit(name) is None else _nothing_known(units)

    def gaps(self) -> tuple[Gap, ...]:
        """Return what stopped the bounds, by the units that it cost."""
        sites: Counter[str] = Counter()
        units: Counter[str] = Counter()
        for name, bounds in self._bounds.items():
            limit = self._limit(name)
            causes = self._causes[name] if limit is None else {limit}
            open_ended = int((np.isinf(bounds.lower) | np.isinf(bounds.upper)).sum())
            count = open_ended if limit is None else len(bounds.lower)
            for cause in causes if count else ():
                sites[cause] += 1
                units[cause] += count
        return tuple(Gap(cause, sites[cause], n) for cause, n in units.most_common())

    def _limit(self, name: str) -> str | None:
        """Say why the courses that were followed are not all that come to a site."""
        if self._waiting:
            return MANY
        if any(name not in known for known in self._known):
            return ELSEWHERE
        return self._stopped


class _Noted(Opened):
    """An entered site of which nothing more is counted; its output may be noted."""

    def __init__(self, opened: Opened, note: Callable[[Tensor], None] | None = None) -> None:
        vars(self).update(vars(opened))
        self._note = note

    def close(self, h: Any) -> None:
        """Hand the output on."""
        if self._note is not None and isinstance(h, Tensor):
            self._note(h)


class _Book(Book):
    """Names sites as any book does, and notes their bounds in place of counts."""

    def __init__(self, shadow: Shadow, reached: Callable[[int], None]) -> None:
        super().__init__(gradients=False, values=1, window=1)
        self._shadow, self._reached = shadow, reached
        self.exact = True
        self.bounds: dict[str, Bounds] = {}
        self.causes: dict[str, frozenset[str]] = {}

    def open(self, call: Call, *rest: Any, **more: Any) -> Opened | None:
        """Note the bounds of z."""
        with self._shadow.paused(), torch._C.DisableTorchFunction():
            opened = super().open(call, *rest, **more)
            if opened is None or not call.elementwise:
                return opened and _Noted(opened)
            interval, arrangement = self._shadow.at_site(call.z), opened.part.arrangement
            lower = _by_unit(interval.low, arrangement, np.min)
            upper = _by_unit(interval.high, arrangement, np.max)
        name, dead = opened.site.name, np.zeros(len(lower), dtype=np.bool_)
        self.bounds[name] = Bounds(lower, upper, dead, self.exact)
        self.causes[name] = interval.causes
        with self._shadow.paused(), torch._C.DisableTorchFunction():
            self._reached(len(self.bounds))
        return _Noted(opened, partial(self.closed, opened))

    def withdraw(self, opened: list[Opened]) -> None:
        """Remove sites again, with their bounds."""
        for one in opened:
            self.bounds.pop(one.site.name, None)
        super().withdraw(opened)

    def closed(self, opened: Opened, h: Tensor) -> None:
        """Note which units give exactly 0 for every input."""
        known = self.bounds[opened.site.name]
        with self._shadow.paused(), torch._C.DisableTorchFunction():
            interval, arrangement = self._shadow.at_site(h), opened.part.arrangement
            least = _by_unit(interval.low, arrangement, np.min)
            most = _by_unit(interval.high, arrangement, np.max)
        if len(least) == len(known.lower):
            self.bounds[opened.site.name] = replace(known, dead=(least == 0.0) & (most == 0.0))


class _Finder(Finder):
    """A finder whose own operators the shadow does not see."""

    def __init__(self, paths: Paths, book: _Book, shadow: Shadow, verdicts: Verdicts) -> None:
        super().__init__(paths, book, verdicts=verdicts)
        self._shadow, self._noting = shadow, book

    def _recognised(self, *given: Any) -> Call | None:
        with self._shadow.paused():
            return super()._recognised(*given)

    def _entered(self, frame: Frame, z: Tensor | None) -> None:
        with self._shadow.paused():
            super()._entered(frame, z)
        if frame.role is Role.OPAQUE:
            self._shadow.lose(f"the module {frame.place.path!r}, whose inside cannot be seen")

    def _enter_declared(self, frame: Frame, *given: Any) -> None:
        self._noting.exact = of_module(frame.place.module) is not None
        super()._enter_declared(frame, *given)
        self._noting.exact = True

    def _left(self, frame: Frame, result: Any) -> None:
        with self._shadow.paused():
            super()._left(frame, result)


def _one_pass(
    model: nn.Module,
    batch: Batch,
    boxes: Boxes,
    verdicts: Verdicts,
    decisions: tuple[bool, ...],
    reached: Callable[[int], None],
) -> _Found:
    shadow = Shadow(decisions)
    book = _Book(shadow, reached)
    finder = _Finder(Paths(model), book, shadow, verdicts)
    own = batch.mapped(torch.clone)
    for (_, tensor, box), (_, copy, _) in zip(boxes.inputs(batch), boxes.inputs(own), strict=True):
        shadow.set(copy, bound_of(tensor, box))
    book.begin_pass(batch_size(own.args, own.kwargs), False, 0)
    with _quiet(shadow):
        finder.start(own.args, own.kwargs)
        try:
            with shadow:
                own.call(model)
        except Exception as error:
            if not decisions:
                raise
            # The data do not go this way by themselves, and what they fail on others may pass.
            failed = f"a way of the model on which the data fail ({type(error).__name__})"
            return _Found({}, {}, tuple(shadow.answers), failed=failed)
        finally:
            finder.stop(None)
    return _Found(book.bounds, book.causes, tuple(shadow.answers), shadow.lost)


@contextmanager
def _quiet(shadow: Shadow) -> Iterator[None]:
    """Run eagerly, without gradients and fused layers, with the declared functions bounded."""
    before = torch_routes()
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(Exits(shadow))
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        fast_path.forbid()
        stack.callback(fast_path.allow)
        speak_torch(BoundedRoutes(before, shadow))
        stack.callback(speak_torch, before)
        yield


def _by_unit(ends: Tensor, arrangement: Arrangement, pick: Any) -> NDArray[np.float64]:
    view, axis = arrangement.three_axes(ends)
    values = view.detach().cpu().numpy()
    found: NDArray[np.float64] = pick(values, axis=tuple(i for i in range(3) if i != axis))
    return found


def _hull(first: Bounds, second: Bounds) -> Bounds:
    if len(first.lower) != len(second.lower):
        return _nothing_known(len(first.lower))
    return Bounds(
        np.minimum(first.lower, second.lower),
        np.maximum(first.upper, second.upper),
        first.dead & second.dead,
        first.exact and second.exact,
    )


def _nothing_known(units: int) -> Bounds:
    ends = np.full(units, np.inf)
    return Bounds(-ends, ends, np.zeros(units, dtype=np.bool_), False)


def _described(tensor: Tensor, box: Any) -> str:
    dtype = str(tensor.dtype).removeprefix("torch.")
    held = box if box is not None else ("any id" if not tensor.is_floating_point() else "anything")
    return f"{dtype} {tuple(tensor.shape[1:])} in {held}"
