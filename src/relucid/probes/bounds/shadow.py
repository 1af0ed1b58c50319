"""A pass of the model in which an interval follows every tensor that the inputs have a part in.

The model runs as always, on real data, and below it a dispatch mode sees each of PyTorch's
operators. Shapes and constants (masks, positions, parameters) are thus the real ones; what
depends on an input is bounded by the operator's rule, by which one interval follows from others.

Nothing is taken on trust: an operator without a rule, memory that is written through another
view, memory that is filled outside PyTorch, and everything after a value was read that inputs
decide, have unknown bounds, each with its cause.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from relucid.probes.bounds.interval import Interval, settled, unknown
from relucid.probes.bounds.rules import Operation, find_rule

_LEAVES = ("numpy", "__array__", "tolist", "__dlpack__", "data_ptr", "untyped_storage")
SHARED = "memory shared with a tensor that was changed in place"
OUTSIDE = "memory that is filled outside PyTorch's operators"


@dataclass(frozen=True)
class _Entry:
    tensor: weakref.ref[Tensor]
    interval: Interval
    written: int


class Shadow(TorchDispatchMode):
    """The intervals of one pass. ``decisions`` are the answers to the model's own questions.

    Where the model branches on a truth value that inputs decide, the answers given here are
    used, in turn; after them those of the data, which ``answers`` then holds.
    """

    def __init__(self, decisions: Sequence[bool] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch's is not annotated
        self._entries: dict[int, _Entry] = {}
        self._storages: dict[int, int] = {}
        self._clock = 0
        self._paused = False
        self._decisions = tuple(decisions)
        self.answers: list[bool] = []
        self.lost: str | None = None
        """Why nothing is known any more, once the model's course depends on its inputs."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Say no: the model runs eagerly, and to skip the compiler takes 3 s to import it."""
        return False

    def of(self, tensor: Any) -> Interval | None:
        """Return what is known of a tensor, or None where no input has a part in it."""
        entry, storage = self._entries.get(id(tensor)), _storage(tensor)
        last = -1 if storage is None else self._storages.get(storage._cdata, -1)
        if entry is not None and entry.tensor() is tensor and entry.written >= last:
            return entry.interval
        return unknown(tensor, frozenset((SHARED,))) if last >= 0 else None

    def at_site(self, tensor: Tensor) -> Interval:
        """Return what is known of a pre-activation, constants included."""
        with self.paused():
            if self.lost is not None:
                return unknown(tensor, frozenset((self.lost,)))
            found = self.of(tensor)
            values = tensor.detach().double() if found is None else tensor
            return Interval(values, values) if found is None else found

    def set(self, tensor: Tensor, interval: Interval) -> None:
        """Say what is known of a tensor that was just made or written."""
        self._clock += 1
        with self.paused():
            if interval.low.shape != tensor.shape:
                interval = unknown(tensor, interval.causes | {"a shape that is not understood"})
            interval = settled(interval, tensor)
        storage = _storage(tensor)
        if storage is not None:
            if storage._cdata not in self._storages:
                weakref.finalize(storage, self._storages.pop, storage._cdata, None)
            self._storages[storage._cdata] = self._clock
        self._hold(tensor, interval)

    def tighten(self, tensor: Tensor, interval: Interval) -> None:
        """Say something closer of a tensor, of which views may have been taken."""
        with self.paused():
            self._hold(tensor, settled(interval, tensor))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let operators pass that are not the model's own."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def lose(self, reason: str) -> None:
        """Note that from here on the course of the pass holds for these data only."""
        if self.lost is None:
            self.lost = reason

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operator and let the intervals follow."""
        kwargs = kwargs or {}
        if self._paused:
            return func(*args, **kwargs)
        with torch._C.DisableTorchFunction():  # the rules' own calls are no part of the model
            return self._follow(func, args, kwargs)

    def _follow(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        found = {id(x): self.of(x) for x in _tensors((args, kwargs))}
        tracked = {key: one for key, one in found.items() if one is not None}
        name = _name(func)
        cause = _arbitrary(func, name)
        if cause is not None:
            result = func(*args, **kwargs)
            for made in _tensors(result):
                self.set(made, unknown(made, frozenset((cause,))))
            return result
        if not tracked:
            return func(*args, **kwargs)
        if _reads_values(func, name, args, tracked):
            return self._read(func, name, args, kwargs, tracked)
        return self._run(func, name, args, kwargs, tracked)

    def _run(
        self,
        func: Any,
        name: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        tracked: dict[int, Interval],
    ) -> Any:
        def seen(x: Any) -> Any:
            return tracked.get(id(x), x) if isinstance(x, Tensor) else x

        abstract = tree_map(seen, args), tree_map(seen, dict(kwargs))
        changed = [x for x in _written(func, args, kwargs) if isinstance(x, Tensor)]
        result = func(*args, **kwargs)
        made = _tensors(result)
        causes = frozenset[str]().union(*(one.causes for one in tracked.values()))
        rule = find_rule(name, out="out" in kwargs)
        outcome, why = None, "has no rule" if rule is None else "has no rule for such operands"
        try:
            outcome = None if rule is None else rule(Operation(func, name, *abstract, result))
        except (IndexError, RuntimeError, TypeError) as error:  # named among what was lost
            why = f"the rule cannot read ({error})"
        if outcome is None:
            causes |= {f"{name.rstrip('_')}, which {why}"}
        intervals = list(outcome) if isinstance(outcome, tuple | list) else [outcome] * len(made)
        intervals += [None] * (len(made) - len(intervals))  # statistics, reserves
        for tensor, interval in zip(made, intervals, strict=True):
            known = unknown(tensor) if interval is None else interval
            self._note(tensor, known.but(causes=known.causes | causes), changed)
        for tensor in changed:
            if all(tensor is not one for one in made):
                self.set(tensor, unknown(tensor, causes))
        return result

    def _note(self, tensor: Tensor, interval: Interval, changed: list[Tensor]) -> None:
        """Hold an interval; one of a mere view leaves its siblings valid."""
        storage = _storage(tensor)
        fresh = storage is None or storage._cdata not in self._storages
        if fresh or any(tensor is one for one in changed):
            self.set(tensor, interval)
        elif interval.low.shape == tensor.shape:
            self._hold(tensor, settled(interval, tensor))

    def _hold(self, tensor: Tensor, interval: Interval) -> None:
        key, entries = id(tensor), self._entries

        def drop(dead: weakref.ref[Tensor]) -> None:
            if key in entries and entries[key].tensor is dead:
                del entries[key]

        entries[key] = _Entry(weakref.ref(tensor, drop), interval, self._clock)

    def _read(
        self,
        func: Any,
        name: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        tracked: dict[int, Interval],
    ) -> Any:
        """Answer a question about values that the inputs decide."""
        result = func(*args, **kwargs)
        if all(one.known for one in tracked.values()):
            return result
        if isinstance(result, bool):
            turn = len(self.answers)
            answer = self._decisions[turn] if turn < len(self._decisions) else result
            self.answers.append(answer)
            return answer
        self.lose(f"the course of the model, which depends on values that {name} reads")
        for tensor in _tensors(result):
            self.set(tensor, unknown(tensor))
        return result


class Exits(TorchFunctionMode):
    """Notices values that leave PyTorch, by calls that no dispatch mode sees."""

    def __init__(self, shadow: Shadow) -> None:
        super().__init__()
        self._shadow = shadow

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the call."""
        name, shadow = getattr(func, "__name__", ""), self._shadow
        if name in _LEAVES and not shadow._paused:
            interval = shadow.of(args[0]) if args else None
            if interval is not None and not interval.known:
                shadow.lose(f"values that leave PyTorch through {name}()")
        return func(*args, **(kwargs or {}))


def _reads_values(func: Any, name: str, args: Any, tracked: dict[int, Interval]) -> bool:
    if name in ("index", "index_put", "index_put_"):
        indices = args[1] if len(args) > 1 else ()
        return any(id(x) in tracked and x.dtype is torch.bool for x in _tensors(indices))
    tags = getattr(func, "tags", ())
    return torch.Tag.data_dependent_output in tags or torch.Tag.dynamic_output_shape in tags


def _arbitrary(func: Any, name: str) -> str | None:
    """Say why an operator's result may hold anything, whatever it is given; None for others."""
    if name.startswith(("empty", "new_empty")):
        return OUTSIDE
    random = torch.Tag.nondeterministic_seeded in getattr(func, "tags", ())
    return f"random numbers, of {name.rstrip('_')}" if random and not find_rule(name) else None


def _name(func: Any) -> str:
    schema = getattr(func, "_schema", None)
    full = str(getattr(func, "name", lambda: "")()) if schema is None else schema.name
    return full.removeprefix("aten::").removeprefix("prims::")


def _tensors(value: Any) -> list[Tensor]:
    return [x for x in tree_flatten(value)[0] if isinstance(x, Tensor)]


def _written(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the arguments that an operator's schema says it writes to."""
    schema = getattr(func, "_schema", None)
    for index, argument in enumerate(() if schema is None else schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            given = args[index] if index < len(args) else kwargs.get(argument.name)
            yield from _tensors(given)


def _storage(tensor: Any) -> Any:
    """Return a tensor's memory; None for one that has none of its own to be shared."""
    if tensor.layout is not torch.strided or torch._C._functorch.is_functorch_wrapped_tensor(
        tensor
    ):
        return None
    with torch._C.DisableTorchFunction():
        return tensor.untyped_storage()
