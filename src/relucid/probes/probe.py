"""Watching a model: a hook on the outermost module, and everything else only while it samples."""

from __future__ import annotations

import platform
import sys
import threading
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.hooks import RemovableHandle

from relucid.errors import ModelError, ParameterError
from relucid.functions import Activation
from relucid.machine import own_version
from relucid.probes import ranks, state
from relucid.probes.book import Book
from relucid.probes.fast_path import fast_path
from relucid.probes.finder import Finder
from relucid.probes.history import WINDOW
from relucid.probes.recognise import is_activation_module
from relucid.probes.walk import NO_KEYWORDS, Paths
from relucid.records import Birth, Observation, SiteHistory, Unobserved

VALUES = 1 << 15
"""How many values of a call are read unless it is said: reading them takes 0.02 ms on a core."""


def watch(
    model: nn.Module,
    every: int = 1,
    *,
    gradients: bool = True,
    scaler: Any = None,
    values: int | None = VALUES,
    window: int = WINDOW,
) -> Probe:
    """Count on every activation of a model, unmodified, while it is used as usual.

    ``with relucid.watch(model, every=10) as probe: train()``, or ``start`` and ``remove``. Of
    the passes (calls of ``model``) the first and then each ``every``-th is sampled; between
    samples nothing but one hook is on the model, and after ``remove`` nothing at all. Outputs
    and gradients stay the same to the last bit; only where PyTorch would take the fused path of
    ``nn.TransformerEncoderLayer`` in inference, sampled passes take the ordinary one.

    ``gradients`` also counts the loss's gradient at each pre-activation, when the backward pass
    reaches it. ``scaler`` is the ``torch.amp.GradScaler`` in use, if any: its factor is divided
    out.

    Of each call about ``values`` values are read, all those of some samples, in each pass of the
    next ones; None reads all. The samples of a site's record are those that were read. Unless all
    are, the distribution of pre-activations is counted in the first
    :data:`~relucid.probes.history.OFTEN` passes and then in each so many; in these too is it looked
    up which layer feeds which site.

    ``window`` is the number of sampled passes without firing after which a unit counts as
    window-dead in the :class:`~relucid.records.SiteHistory` of its site.

    Raises :class:`~relucid.errors.ModelError` for anything but an ``nn.Module``, and
    :class:`~relucid.errors.ParameterError` for an ``every``, ``values`` or ``window`` that is
    no positive whole number.
    """
    return Probe(model, every, gradients=gradients, scaler=scaler, values=values, window=window)


class Probe:
    """A watch over one model. :func:`watch` makes it."""

    def __init__(
        self,
        model: nn.Module,
        every: int = 1,
        *,
        gradients: bool = True,
        scaler: Any = None,
        values: int | None = None,
        window: int | None = None,
    ) -> None:
        check_model(model)
        for name, number in (("every", every), ("values", values), ("window", window)):
            if number is not None:
                _check_count(name, number)
        self._model, self._every, self._scaler = model, every, scaler
        self._paths = Paths(model)
        self._book = Book(gradients, values, window)
        self._finder = Finder(self._paths, self._book)
        self._passes = self._sampled = self._samples = 0
        self._modes: set[bool] = set()
        self._hook: RemovableHandle | None = None
        self._pass: _Pass | None = None
        self._turn = threading.RLock()

    def start(self) -> Self:
        """Begin to watch. Does nothing if it has begun."""
        scripted = isinstance(self._model, torch.jit.ScriptModule)  # takes no hooks; is listed
        if self._hook is None and not scripted:
            self._hook = self._model.register_forward_pre_hook(_Root(self), with_kwargs=True)
        return self

    def remove(self) -> None:
        """Stop watching and leave no trace on the model. What was counted stays readable.

        A pass that another thread is in at this moment is counted to its end.
        """
        if self._hook is not None:
            self._hook.remove()
        self._hook = None
        with self._turn:
            if self._pass is not None and not self._pass.elsewhere():
                self._pass.end(None)
                self._pass = None
        self._book.hooks.remove()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.remove()

    def records(self, *, loss: float | None = None, births: tuple[Birth, ...] = ()) -> Observation:
        """Read what was counted so far. ``loss`` and ``births`` are passed into the record."""
        return self._observation(self._book, self._sampled, self._samples, loss, births)

    def _observation(
        self,
        book: Book,
        batches: int,
        samples: int,
        loss: float | None = None,
        births: tuple[Birth, ...] = (),
    ) -> Observation:
        return Observation(
            model=type(self._model).__name__,
            parameters=sum(p.numel() for p in self._model.parameters() if not is_lazy(p)),
            mode=self._mode(),
            batches=batches,
            samples=samples,
            loss=loss,
            sites=book.records(),
            unobserved=tuple(self._unobserved()),
            births=births,
            versions={
                "relucid": own_version(),
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        )

    @property
    def verdicts(self) -> dict[int, Activation | None]:
        """What modules of the model's own were found to be, by their identity."""
        return self._finder.verdicts

    def history(self) -> dict[str, SiteHistory]:
        """Read how each site was over time, by name: a part of :meth:`records`, read faster."""
        return self._book.histories()

    def state_dict(self) -> dict[str, Tensor]:
        """Return all counts and the history, as a flat dictionary of tensors on the CPU.

        It goes into a checkpoint beside the model's own and comes back with
        :meth:`load_state_dict`; ``torch.load(weights_only=True)`` and safetensors read it.
        """
        numbers = {
            "passes": self._passes,
            "sampled": self._sampled,
            "samples": self._samples,
            "training": sorted(self._modes),
            "called": sorted(self._finder.walk.called),
        }
        return state.write(self._book, self._model, numbers)

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state_dict` returned; what was counted here before is dropped.

        A run that is resumed so ends with the same numbers as one never interrupted. A site's
        layer is known again from its next sampled pass on.

        Raises :class:`~relucid.errors.ModelError` for a state of another model, with what
        differs, and :class:`~relucid.errors.RecordError` for one that is damaged.
        """
        numbers = state.read(self._book, self._model, state_dict)
        self._passes, self._sampled = numbers["passes"], numbers["sampled"]
        self._samples, self._modes = numbers["samples"], set(numbers["training"])
        self._finder.walk.called.update(numbers["called"])

    def merge_ranks(self, group: Any = None) -> Observation:
        """Return the record over all processes of ``torch.distributed``.

        Every rank of the process ``group`` (None: all) has to call it. One ``all_reduce`` adds
        the counts; those of this probe stay its own, so it can be called as often as one likes.
        In the history, ``passes`` are those of one rank (the mean, rounded up), numbers of units
        are means over ranks, and ``quiet`` is that of the rank where a unit fired last. The
        distribution of z and what could not be observed are this rank's. Without a process group
        this is :meth:`records`.

        Raises :class:`~relucid.errors.ModelError`, on all ranks alike, where they have seen
        different sites, with what differs.
        """
        if ranks.alone():
            return self.records()
        counts = self._sampled, self._samples
        book, (batches, samples) = ranks.summed(self._book, counts, group)
        return self._observation(book, batches, samples)

    def nonfinite(self) -> int:
        """Read how many NaN and infinite values the sites have seen so far."""
        return self._book.nonfinite()

    def enter_pass(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        """Begin a pass; called before each forward of the outermost module or a replica of it."""
        if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
            return
        with self._turn:  # threads come here at once, and one pass is sampled at a time
            if self._pass is not None:
                if self._pass.elsewhere() or self._pass.nested():
                    return
                self._pass.end(None)
                self._pass = None
            number, self._passes = self._passes, self._passes + 1
            if number % self._every == 0:
                self._sample(module, args, kwargs)

    def _sample(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        batch = batch_size(args, kwargs)
        if not self._modes:
            self._modes.update(module.training for module in self._model.modules())
        self._modes.add(self._model.training)
        self._sampled += 1
        self._samples += batch or 0
        self._book.begin_pass(batch, torch.is_grad_enabled(), self._passes - 1)
        if self._scaler is not None:
            self._book.hooks.scale = float(self._scaler.get_scale())
        replica = module is not self._model
        self._pass = _Pass(self._model, self._finder, args, kwargs, replica)

    def _mode(self) -> Literal["eval", "train", "mixed"]:
        modes = self._modes or {self._model.training}
        if len(modes) > 1:
            return "mixed"
        return "train" if True in modes else "eval"

    def _unobserved(self) -> Iterator[Unobserved]:
        for path, reason in self._paths.opaque.items():
            yield Unobserved(path or type(self._model).__name__, reason)
        missed = self._book.unobserved()
        yield from missed
        observed = self._book.paths() | {one.name for one in missed}
        hidden = tuple(f"{path}." if path else "" for path in self._paths.opaque)
        for place in self._paths.places.values():
            if not is_activation_module(place.module) or place.path in observed:
                continue
            if not place.path.startswith(hidden):
                yield Unobserved(place.path or "activation", self._why_silent(place.path))

    def _why_silent(self, path: str) -> str:
        if not self._sampled:
            return "the model was not called while it was watched (a compiled copy does not count)"
        if path in self._finder.walk.called:
            return "called without a tensor of real numbers"
        return f"never called in the {self._sampled} passes that were watched"


class _Pass:
    """One sampled pass: what was changed for it, to be undone at its end."""

    def __init__(
        self,
        model: nn.Module,
        finder: Finder,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        replica: bool,
    ) -> None:
        self._thread, self._depth = threading.current_thread(), 0
        self._root: FrameType | None = _frame_of_call()
        self._finder = finder
        self._ended = self._over = False
        self._hook = model.register_forward_hook(self._leave, always_call=True)
        fast_path.forbid()
        try:
            finder.start(args, kwargs, replica)
        except BaseException:
            self.end(None)
            raise

    def end(self, output: Any) -> None:
        """Undo everything. Safe to call twice."""
        if self._ended:
            return
        self._ended, self._root = True, None
        try:
            self._hook.remove()
            fast_path.allow()
            self._finder.stop(output)
        finally:
            self._over = True

    def elsewhere(self) -> bool:
        """Whether another thread is still in this pass, which only that thread can end."""
        mine = self._thread is threading.current_thread()
        return not (self._over or mine) and self._thread.is_alive()

    def nested(self) -> bool:
        """Whether the model is being called by itself, while this pass runs.

        A pass that an interrupt (Ctrl-C) broke off has not ended, but is no longer running: its
        call of the model is not on the stack any more.
        """
        if self._ended:
            return False
        inside = self._inside()
        self._depth += inside
        return inside

    def _inside(self) -> bool:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame is not self._root:
            frame = frame.f_back
        return frame is not None

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        if torch.compiler.is_compiling() or threading.current_thread() is not self._thread:
            return
        if self._depth:
            self._depth -= 1
        else:
            self.end(output)


def _frame_of_call() -> FrameType | None:
    """Return the frame of ``Module.__call__`` that runs the outermost module's hooks."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not _Root.__call__.__code__:
        frame = frame.f_back
    return None if frame is None else frame.f_back


class _Root:
    """The one hook between samples. A copy of the model gets one that does nothing."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any] = NO_KEYWORDS
    ) -> None:
        self._probe.enter_pass(module, args, kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return _no_longer_watched

    def __reduce__(self) -> tuple[Any, ...]:
        return _stand_in, ()


def _no_longer_watched(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Stand in for the hook in copies and pickles of a watched model."""


def _stand_in() -> Any:
    return _no_longer_watched


def _check_count(name: str, number: Any) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ParameterError(f"{name} must be a whole number of at least 1, not {number!r}")


def check_model(model: Any) -> None:
    """Raise :class:`~relucid.errors.ModelError` unless this is a module."""
    if not isinstance(model, nn.Module):
        hint = "an instance, not the class" if isinstance(model, type) else "a torch.nn.Module"
        raise ModelError(f"the model must be {hint}, and this is {model!r:.80}")


def check_shapes(model: nn.Module, verb: str) -> None:
    """Raise :class:`~relucid.errors.ModelError` for a layer that is lazy still.

    ``verb`` says what it is to be done with later.
    """
    lazy = next((n for n, p in model.named_parameters() if is_lazy(p)), None)
    if lazy is not None:
        raise ModelError(f"{lazy} has no shape yet; run the model once, and {verb} it then")


def batch_size(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int | None:
    """Length of axis 0 of the first tensor that the model was called with."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor) and value.ndim > 0:
            return value.size(0)
        if isinstance(value, tuple | list):
            inner = batch_size(tuple(value), {})
            if inner is not None:
                return inner
    return None
