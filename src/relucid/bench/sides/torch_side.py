"""A contender that works on PyTorch tensors: relucid, eager PyTorch, torch.compile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from relucid.bench.buffers import Inputs
from relucid.bench.sides.subject import Form, Result, Subject, first_seconds

Run = Callable[[int], Result]


@dataclass(frozen=True)
class Call:
    """The tensors of one call that writes into given buffers."""

    x: Tensor
    g: Tensor
    """Gradient of the output."""
    y: Tensor
    dx: Tensor
    scratch: Tensor
    """What PyTorch's logsigmoid hands from its forward to its backward."""


@dataclass(frozen=True)
class InPlace:
    """How a function and its gradient are written into given buffers."""

    forward: Callable[[Call], object]
    backward: Callable[[Call], object]
    note: str = ""


class TorchSide:
    """Subjects made of ``value``, which autograd differentiates, and of its in-place form."""

    def __init__(
        self,
        inputs: Sequence[Inputs],
        value: Callable[..., Tensor],
        in_place: InPlace | None,
        compiles: bool,
    ) -> None:
        self._value, self._compiles = value, compiles
        self._arguments = [one.arguments for one in inputs]
        self._gradients = [one.gradient for one in inputs]
        self._in_place = in_place

    def subject(self, form: Form) -> Subject | None:
        """The subject for a pass and policy, or None where this side has no such form."""
        work, policy = form
        if policy == "out":
            return None if self._in_place is None else self._writing(self._in_place, work)
        run, seconds = self._forward if work == "forward" else self._through_autograd
        return Subject(run, "", seconds if self._compiles else None)

    @cached_property
    def _forward(self) -> tuple[Run, float]:
        value, arguments = self._value, self._arguments

        def run(i: int) -> Result:
            return value(*arguments[i]), None

        return run, first_seconds(lambda: run(0))

    @cached_property
    def _through_autograd(self) -> tuple[Run, float]:
        value, gradients, grad = self._value, self._gradients, torch.autograd.grad
        leaves = [tuple(x.detach().requires_grad_() for x in one) for one in self._arguments]

        def run(i: int) -> Result:
            y = value(*leaves[i])
            return y, grad(y, leaves[i], gradients[i])

        return run, first_seconds(lambda: run(0))

    def _writing(self, in_place: InPlace, work: str) -> Subject:
        forward, backward, calls = in_place.forward, in_place.backward, self._calls

        def run_forward(i: int) -> Result:
            forward(calls[i])
            return calls[i].y, None

        def run_backward(i: int) -> Result:
            backward(calls[i])
            return None, (calls[i].dx,)

        def run_both(i: int) -> Result:
            call = calls[i]
            forward(call)
            backward(call)
            return call.y, (call.dx,)

        # Forward first, whatever the pass: some backwards read the output.
        seconds = {"forward": self._forward_seconds}
        if work != "forward":
            seconds["backward"] = self._backward_seconds
        runs = {"forward": run_forward, "backward": run_backward, "both": run_both}
        spent = sum(seconds.values()) if work == "both" else seconds[work]
        return Subject(runs[work], in_place.note, spent if self._compiles else None)

    @cached_property
    def _calls(self) -> list[Call]:
        """Buffers of this side alone, written to once so that their pages are there."""
        return [
            Call(x, g, *(torch.full_like(x, torch.nan) for _ in range(3)))
            for (x,), g in zip(self._arguments, self._gradients, strict=True)
        ]

    @cached_property
    def _forward_seconds(self) -> float:
        assert self._in_place is not None
        forward = self._in_place.forward
        seconds = first_seconds(lambda: forward(self._calls[0]))
        for call in self._calls[1:]:
            forward(call)
        return seconds

    @cached_property
    def _backward_seconds(self) -> float:
        assert self._in_place is not None
        backward = self._in_place.backward
        return first_seconds(lambda: backward(self._calls[0]))
