"""Sees every torch call of a pass and tells which of them are activations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from relucid.functions import Activation
from relucid.probes import written
from relucid.probes.book import Book, Opened
from relucid.probes.gradients import GradientHook
from relucid.probes.layers import RULES, Origins, normalised
from relucid.probes.recognise import CALLS, Call, is_data, name_of, of_module, recognise
from relucid.probes.routes import WatchedRoutes, watch_routes
from relucid.probes.source import called_by_torch
from relucid.probes.tensors import plain, uncountable
from relucid.probes.walk import Frame, Paths, Role, Walk

_RECURRENT = (
    "lstm",
    "gru",
    "rnn_tanh",
    "rnn_relu",
    "lstm_cell",
    "gru_cell",
    "rnn_tanh_cell",
    "rnn_relu_cell",
)
FUSED = {
    **{
        name: ("gates", f"its gates are computed inside one fused call, {name}")
        for name in _RECURRENT
    },
    "multi_head_attention_forward": (
        "softmax",
        "its softmax is computed inside one fused call, multi_head_attention_forward",
    ),
    "scaled_dot_product_attention": (
        "softmax",
        "its softmax is computed inside one fused call, scaled_dot_product_attention",
    ),
    "gumbel_softmax": ("softmax", "its softmax is computed inside one call, gumbel_softmax"),
    "_native_multi_head_attention": ("softmax", "its softmax is computed inside one fused call"),
    "_transformer_encoder_layer_fwd": (
        "layer",
        "the whole layer is computed inside one fused call",
    ),
}
"""Calls that hide activations: what is hidden, and the reason given."""

_NOTED = CALLS | FUSED.keys()

COMPILED = "it calls a function compiled by torch.compile, whose inside cannot be seen"


SCRIPTED = "its module calls this function, whose inside TorchScript compiles and hides"


class Finder(TorchFunctionMode):
    """A function mode that hands activation calls to the book, and follows the modules.

    It changes no call: each function runs once, with its own arguments.
    """

    def __init__(
        self, paths: Paths, book: Book, verdicts: Mapping[int, Activation | None] | None = None
    ) -> None:
        super().__init__()
        self._paths, self._book = paths, book
        self._origins = Origins(paths.model, paths.leaves, book.readers)
        self.walk = Walk(paths, self._entered, self._left)
        self.verdicts: dict[int, Activation | None] = dict(verdicts or {})
        self._paused = self._inside_declared = self._compiled = False
        self._routes: WatchedRoutes | None = None

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the call, counting on it if it is an activation."""
        kwargs = kwargs or {}
        if torch.compiler.is_compiling():
            self._compiled = True  # the compiler keeps this effect and repeats it in every call
            return func(*args, **kwargs)
        name = name_of(func)
        rule = RULES.get(name) if self._book.follows else None
        # Half of all calls read an attribute; they go the shortest way.
        if (rule is None and name not in _NOTED and not self._compiled) or not self.walk.running:
            return func(*args, **kwargs)
        frame = self.walk.stack[-1]
        if self._compiled:
            self._note_compiled(frame)
        if rule is not None:
            result = func(*args, **kwargs)
            self._origins.set(result, rule(self._origins, args, kwargs, frame.place))
            return result
        call = opened = None
        if frame.role is not Role.DECLARED and not self._inside_declared:
            call = self._recognised(func, name, args, kwargs, frame)
        if call is not None:
            opened = self._opened(func, name, call, frame)
        result = func(*args, **kwargs)
        if call is not None and frame.role is Role.TRIAL and isinstance(result, Tensor):
            frame.last = call, result
        if opened is not None and isinstance(result, Tensor):
            opened.close(result)
            self._origins.after_activation(args[0] if args else None, result, opened.site.name)
        return result

    def start(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], replica: bool = False
    ) -> None:
        """Attach to the modules and begin to see calls.

        The weights of a ``replica`` (DataParallel's) are no module's of ours: only hooks tell
        where they are.
        """
        self.walk.attach({} if replica else self._paths.leaves)
        self._routes = watch_routes(self._declared)
        torch.overrides._push_mode(self)
        self.walk.begin(args, kwargs)

    def stop(self, output: Any) -> None:
        """Detach from everything, whatever state an interrupted pass was left in."""
        try:
            self.walk.end(output)
        finally:
            self._paused = self._inside_declared = self._compiled = False
            if self._routes is not None:
                self._routes.remove()
                self._routes = None
            _take_off(self)
            self.walk.detach()
            self._origins.clear()

    def _recognised(
        self, func: Any, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], frame: Frame
    ) -> Call | None:
        """Return the activation that is called; note one that hides inside a fused call."""
        if name in FUSED:
            hidden, reason = FUSED[name]
            self._book.miss(_join(frame.place.path, hidden), reason)
        call = recognise(func, args, kwargs) if name in CALLS else None
        return call and self._with_learned(call, (*args[1:], *kwargs.values()))

    def _opened(self, func: Any, name: str, call: Call, frame: Frame) -> Opened | None:
        """Open the site of an activation call; None where it cannot be counted."""
        path = frame.place.path
        whole = frame.role is Role.ACTIVATION and path
        base = path if whole else _join(path, _label(name, call))
        kind, origin = "module" if whole else _kind(func, name), self._origins.of(call.z)
        opened = self._book.open(call, base, kind, path, origin)
        if opened is not None and opened.new:
            frame.opened.append(opened)
        return opened

    def _declared(self, activation: Activation, z: Any, run: Callable[[], Any]) -> Any:
        """Run ``relucid.get(name)(z)``; what it calls inside is part of it."""
        if torch.compiler.is_compiling() or not self.walk.running:
            return run()
        if self._inside_declared or not is_data(z):
            return run()
        frame = self.walk.stack[-1]
        opened = None
        if frame.role is not Role.DECLARED:
            path, call = frame.place.path, Call(z, activation.name, activation)
            base, origin = _join(path, call.name), self._origins.of(z)
            with torch._C.DisableTorchFunction():
                opened = self._book.open(call, base, "function", path, origin)
        self._inside_declared = True
        try:
            h = run()
        finally:
            self._inside_declared = False
        if opened is not None:
            frame.opened += [opened] if opened.new else []
            with torch._C.DisableTorchFunction():
                opened.close(h)
            self._origins.after_activation(z, h, opened.site.name)
        return h

    def _entered(self, frame: Frame, z: Tensor | None) -> None:
        frame.z = z
        for name in self._paths.scripted.get(frame.place.path, ()):
            self._book.miss(_join(frame.place.path, name), SCRIPTED)
        if frame.role is Role.OPAQUE:
            self._pause()
        elif frame.role is Role.TRIAL:
            self._judged(frame)
        elif frame.role is Role.DECLARED:
            frame.activation = of_module(frame.place.module)
        if frame.role is Role.DECLARED and frame.activation is not None and z is not None:
            self._enter_declared(frame, Call(z, frame.activation.name, frame.activation), None)

    def _judged(self, frame: Frame) -> None:
        """Give a module the role it was found to have, or prepare to find out."""
        key, z = id(frame.place.module), frame.z
        if key in self.verdicts:
            frame.activation = self.verdicts[key]
            frame.role = Role.PLAIN if frame.activation is None else Role.DECLARED
        elif z is not None and z.is_floating_point() and uncountable(z) is None:
            frame.copy, frame.hook = plain(z).clone(), self._book.hook(z)

    def _enter_declared(self, frame: Frame, call: Call, hook: GradientHook | None) -> None:
        path, origin = frame.place.path, self._origins.of(frame.z)
        call = self._with_learned(call, frame.place.module._parameters.values())
        opened = self._book.open(call, path or call.name, "module", path, origin, hook)
        frame.opened = [] if opened is None else [opened]

    def _left(self, frame: Frame, result: Any) -> None:
        if self._compiled:
            self._note_compiled(frame)
        if frame.role is Role.OPAQUE:
            self._resume()
        if not isinstance(result, Tensor):
            return
        if frame.role is Role.TRIAL:
            self._try(frame, result)
        elif frame.role is Role.DECLARED:
            self._finish_declared(frame, result)
        if frame.role in (Role.TRIAL, Role.PLAIN) and "Norm" in type(frame.place.module).__name__:
            self._origins.set(
                result, normalised(self._origins, frame.z, frame.place.path, channels_first=False)
            )

    def _with_learned(self, call: Call, given: Iterable[Any]) -> Call:
        learned = self._origins.parameter_names(given)
        return replace(call, learned=learned) if learned else call

    def _try(self, frame: Frame, h: Tensor) -> None:
        """Find out once whether a module's output is a declared function of its input."""
        z, activation = frame.copy, None
        if z is not None and z.shape == h.shape and h.is_floating_point() and not uncountable(h):
            activation = _whole(frame, z, h)
        self.verdicts[id(frame.place.module)] = activation
        if z is not None and activation is not None:
            self._book.withdraw(frame.opened)
            self._enter_declared(frame, Call(z, activation.name, activation), frame.hook)
            self._finish_declared(frame, h)
        elif frame.hook is not None:
            frame.hook.remove()

    def _finish_declared(self, frame: Frame, h: Tensor) -> None:
        for opened in frame.opened:
            opened.close(h)
        name = frame.opened[-1].site.name if frame.opened else None
        self._origins.after_activation(frame.z, h, name)

    def _note_compiled(self, frame: Frame) -> None:
        self._compiled = False
        self._book.miss(_join(frame.place.path, "compiled function"), COMPILED)

    def _pause(self) -> None:
        """Leave the mode while compiled code runs, which would be compiled anew for it."""
        if torch.overrides._get_current_function_mode() is self:
            torch.overrides._pop_mode()
            self._paused = True

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            torch.overrides._push_mode(self)


def _whole(frame: Frame, z: Tensor, h: Tensor) -> Activation | None:
    """Return the function that a module computes: the one that it calls, else by the values."""
    looseness = max(written.epsilon(z), written.epsilon(h))
    before, after = written.sample(z), written.sample(h)
    if frame.last is not None and frame.last[0].z is frame.z and frame.last[1] is h:
        called = frame.last[0].activation
        if written.computes(called, before, after, looseness):
            return called
    return written.identify(before, after, looseness)


def _take_off(mode: TorchFunctionMode) -> None:
    """Remove the mode from the stack, also from under modes that others left there."""
    above: list[Any] = []
    if mode in torch.overrides._get_current_function_mode_stack():
        while (top := torch.overrides._pop_mode()) is not mode:
            above.append(top)
    for other in reversed(above):
        torch.overrides._push_mode(other)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _label(name: str, call: Call) -> str:
    """Name the function as the user calls it: ``relu`` for ``relu_``."""
    return call.name if name in ("", "special_expit", "__call__") else name.strip("_")


def _kind(function: Any, name: str) -> str:
    """Tell methods from functions; torch's own functions may call methods inside."""
    if getattr(Tensor, name, None) is not function:
        return "function"
    return "function" if called_by_torch() else "method"
