"""Linear (CROWN-type) bounds: what intervals lose between layers, won back for undecided units.

The bound of a number z_i is sought as a linear form: z_i <= sum of <a_v, v> over nodes v, plus a
constant. At first it is z_i itself. From the last node to the first, each node of the form is
replaced by its operands, until inputs, or operators that have no linear form, are left; of
these the intervals are known. For a lower bound the form is that of -z_i.

**Why the bounds hold.** Let v^ be what the model computes at node v, in its own dtype, rounding
included; the intervals enclose it.

1. *Affine operators*, v = L x + c in exact arithmetic on the parameters as they are stored:
   abs(v^ - L x^ - c) <= e, element by element, where e is what the operator's interval rule
   allows for rounding over all operands of at most the sizes that the intervals of x say.
   So <a, v^> <= <L'a, x^> + <a, c> + <abs(a), e>.
2. *Our own rounding* of L'a, in float64: at most gamma_n abs(L)'abs(a), where n counts terms. Its
   effect on the form is at most gamma_n <abs(a), abs(L) size(x)>, which is e's kind of
   term: it is put into e beforehand, with that of adding up what several users of x hand on.
3. *Functions that are straight between a few points*: over the interval of z^ the computed
   value lies between two lines, which are checked at these points, their rounding included.
   Positive coefficients take the line above, negative ones the line below. Maxima likewise.
4. *What is left* is largest at the corner of the intervals that the signs of the coefficients
   choose; after a norm also at most by Cauchy and Schwarz.
5. The constant is a sum of terms <a, c> + <abs(a), s>; gamma of their number times the sum of
   their abs values is added at the end.

So the bound holds for the numbers that the model computes. No interval gets wider: what is
returned is what the intervals and these bounds have in common.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from relucid.probes.bounds.interval import Interval
from relucid.shrink.linear_affine import Affine, affine
from relucid.shrink.linear_bends import CHOICES, bend, breaks_of
from relucid.shrink.linear_calls import Call, call_of, is_affine
from relucid.shrink.linear_forms import Box, Step, Total
from relucid.shrink.linear_pools import pool

EFFORT = 3e11
"""Multiply-adds that a model's bounds may take: half a minute on one core."""
_CHUNK = 2**27
"""Bytes of the coefficients of one node that are held at once."""


class LinearBounds:
    """The linear bounds of one graph, node by node in the order in which it runs.

    ``effort`` is how many multiply-adds they may take in all. Where that is too little, the
    elements that are nearest to being decided come first.
    """

    def __init__(self, effort: float = EFFORT) -> None:
        self._left = effort
        self._intervals: dict[Node, Interval] = {}
        self._values: dict[Node, Any] = {}
        self._steps: dict[Node, Step] = {}
        self._depths: dict[Node, int] = {}
        self._order: dict[Node, int] = {}
        self.tightened_elements = 0
        self.skipped_elements = 0
        """Undecided elements for which the effort was too little."""

    def note(self, node: Node, value: Any, interval: Interval | None) -> None:
        """Note what a node gave, and its bounds if the model's inputs have a part in it."""
        self._order.setdefault(node, len(self._order))
        if interval is None:
            self._values[node] = value
        else:
            self._intervals[node] = interval
            self._values[node] = torch.empty_like(value, device="meta")

    def tightened(
        self, node: Node, breaks: Sequence[Any] = (), among: Tensor | None = None
    ) -> Interval | None:
        """Return closer bounds of a node; None where linear bounds have nothing to add.

        Tightened are the elements whose interval has one of ``breaks`` inside, numbers or
        tensors; by default the points where the functions bend that read the node. ``among``,
        truth values of the node's shape, leaves out elements that nothing hangs on.
        """
        interval = self._intervals.get(node)
        breaks = breaks or [at for user in node.users for at in self._breaks(user)]
        if interval is None or not breaks:
            return None
        inside = torch.zeros_like(interval.low, dtype=torch.bool)
        for at in breaks:
            value = torch.as_tensor(at, dtype=torch.float64, device=inside.device)
            inside |= (interval.low < value) & (interval.high > value)
        if among is not None:
            inside &= among
        wanted = inside.flatten().nonzero().squeeze(-1)
        if not len(wanted) or self._layers(node) < 2:
            return None
        return self._closer(node, interval, self._affordable(node, interval, wanted))

    def _closer(self, node: Node, interval: Interval, wanted: Tensor) -> Interval | None:
        low, high = interval.low.clone().flatten(), interval.high.clone().flatten()
        for chosen in self._chunks(node, wanted):
            most, least = self._bounded(node, chosen).chunk(2)
            high[chosen] = torch.fmin(high[chosen], most)
            low[chosen] = torch.fmax(low[chosen], -least)
        shape = interval.low.shape
        closer = interval.but(low=low.reshape(shape), high=high.reshape(shape))
        gained = (closer.low > interval.low) | (closer.high < interval.high)
        self.tightened_elements += int(gained.sum())
        self._intervals[node] = closer
        return closer if bool(gained.any()) else None

    def _affordable(self, node: Node, interval: Interval, wanted: Tensor) -> Tensor:
        """Return the elements that half of what is left of the effort allows for."""
        cost = 2.0 * CHOICES * sum(self._step(one).cost for one in self._cone(node))
        count = int(self._left / 2.0 / cost)
        low, high = (end.flatten()[wanted] for end in (interval.low, interval.high))
        nearest = torch.minimum(-low, high) / (high - low)
        kept = wanted[nearest.argsort()[:count]]
        self._left -= cost * len(kept)
        self.skipped_elements += len(wanted) - len(kept)
        return kept

    def _cone(self, node: Node) -> Iterator[Node]:
        """Yield all nodes that the forms of a node come by."""
        seen, waiting = {node}, [node]
        while waiting:
            at = waiting.pop()
            yield at
            new = [x for x in self._step(at).operands if x not in seen]
            seen.update(new)
            waiting += new

    def _chunks(self, node: Node, wanted: Tensor) -> Iterator[Tensor]:
        widest = max(self._intervals[one].low.numel() for one in self._cone(node))
        yield from wanted.split(max(_CHUNK // (16 * widest), 1))

    def _bounded(self, node: Node, chosen: Tensor) -> Tensor:
        """Return upper bounds of some elements, then of their negatives."""
        like = self._intervals[node].low
        rows = like.new_zeros(2, len(chosen), like.numel())
        at = torch.arange(len(chosen), device=rows.device)
        rows[0, at, chosen], rows[1, at, chosen] = 1.0, -1.0
        rows = rows.reshape(-1, *like.shape)
        passes = [self._pass(node, rows, choice) for choice in range(CHOICES)]
        return torch.fmin(*passes)

    def _pass(self, node: Node, rows: Tensor, choice: int) -> Tensor:
        waiting, total = {node: rows}, Total(rows)
        while waiting:
            at = max(waiting, key=self._order.__getitem__)
            step, coefficients = self._step(at), waiting.pop(at)
            passed = step.through(coefficients, choice)
            total.add(passed, coefficients)
            for operand, part in zip(step.operands, passed.parts, strict=True):
                waiting[operand] = waiting[operand] + part if operand in waiting else part
        return total.bound()

    def _step(self, node: Node) -> Step:
        if node not in self._steps:
            self._steps[node] = self._linear(node) or Box.of(self._intervals[node])
        return self._steps[node]

    def _linear(self, node: Node) -> Step | None:
        """Return how a form passes a node; None where it cannot."""
        call = self._call(node)
        if call is None or not call.operands or not self._is_real(node, *call.operands):
            return None
        known = [self._intervals[x] for x in call.operands]
        users = sum(len(x.users) for x in call.operands)
        result = self._values[node]
        if is_affine(call):
            dtypes = [self._values[x].dtype for x in call.operands]
            return affine(call, [x.size for x in known], dtypes, result.dtype, users)
        return bend(call, known[0], result.dtype, users) or pool(
            call, known[0], result.shape, users
        )

    def _layers(self, node: Node) -> int:
        """Return how many operators are on the way to what is left, those that move not counted."""
        if node not in self._depths:
            step = self._step(node)
            own = not (isinstance(step, Box) or (isinstance(step, Affine) and step.moves))
            self._depths[node] = own + max((self._layers(x) for x in step.operands), default=0)
        return self._depths[node]

    def _is_real(self, *nodes: Node) -> bool:
        """Whether all are bounded on both sides, and floating point numbers."""
        return all(
            self._values[x].is_floating_point()
            and bool((self._intervals[x].low.isfinite() & self._intervals[x].high.isfinite()).all())
            for x in nodes
        )

    def _call(self, node: Node) -> Call | None:
        return call_of(node, self._values.__getitem__, self._intervals.__contains__)

    def _breaks(self, user: Node) -> list[Any]:
        """Return where the function bends that reads a node; its constants must be known."""
        call = call_of(user, self._values.get, self._intervals.__contains__)
        return [] if call is None else breaks_of(call)
