"""The calls of activations in a pass of the model, each with the expression that makes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import torch
from torch import nn

from relucid.functions import Activation
from relucid.probes.batches import Batch, ordinary
from relucid.probes.book import Book, Opened
from relucid.probes.fast_path import fast_path
from relucid.probes.finder import Finder
from relucid.probes.layers import Origin
from relucid.probes.recognise import Call
from relucid.probes.refusals import Refusal
from relucid.probes.source import users_frame
from relucid.probes.undisturbed import undisturbed
from relucid.probes.walk import Paths
from relucid.records import Unobserved


@dataclass(frozen=True)
class Expression:
    """A call in somebody's code: the code object, and where the call's text ends."""

    code: CodeType
    end: tuple[int, int] | None
    """Line and byte of the closing parenthesis' end; None where Python keeps no positions."""


class FrameNote(NamedTuple):
    """Where in somebody's code a call was made."""

    source: str
    expression: Expression


@dataclass(frozen=True)
class SeenCall:
    """An activation called in the pass."""

    name: str
    """The site's name, as the probes give it."""
    kind: str
    """``module``, ``function`` or ``method``."""
    path: str
    """Of the module whose ``forward`` makes the call, or that is the activation."""
    function: str
    activation: Activation | None
    learned: tuple[str, ...]
    source: str
    """``file.py:line`` of a function's call."""
    expression: Expression | None


@dataclass(frozen=True)
class Seen:
    """All activation calls of one pass."""

    calls: tuple[SeenCall, ...]
    missed: tuple[Unobserved, ...]
    verdicts: Mapping[int, Activation | None]


class _CallBook(Book):
    """A book that also keeps the expression of each call."""

    def __init__(self) -> None:
        super().__init__(gradients=False, values=1, window=None)
        self.noted: dict[str, tuple[Call, FrameNote | None]] = {}

    def open(
        self, call: Call, base: str, kind: Any, module: str, origin: Origin | None, hook: Any = None
    ) -> Opened | None:
        """Note the expression, and count as always."""
        opened = super().open(call, base, kind, module, origin, hook)
        if opened is not None and opened.new:
            frame = None if kind == "module" else users_frame(sys._getframe(1))
            self.noted[opened.site.name] = call, None if frame is None else _noted(frame)
        return opened

    def calls(self) -> Iterator[SeenCall]:
        """Yield the sites that are left: those inside an activation written out were withdrawn."""
        for record in self.records():
            site = record.site
            call, note = self.noted[site.name]
            yield SeenCall(
                site.name,
                site.kind,
                site.module,
                call.name,
                call.activation,
                call.learned,
                "" if note is None else note.source,
                None if note is None else note.expression,
            )


def see(
    model: nn.Module, batch: Batch, verdicts: Mapping[int, Activation | None] | None = None
) -> Seen:
    """Run a batch in evaluation mode and return its activation calls.

    Raises :class:`~relucid.errors.DataError` where the model refuses the batch.
    """
    book = _CallBook()
    finder = Finder(Paths(model), book, verdicts)
    batch = batch.mapped(ordinary)
    with torch.inference_mode(False), undisturbed(model, evaluate=True), torch.no_grad():
        fast_path.forbid()
        try:
            book.begin_pass(None, False, 0)
            finder.start(batch.args, batch.kwargs)
            with Refusal(model, batch, 0):
                batch.call(model)
        finally:
            finder.stop(None)
            fast_path.allow()
    return Seen(tuple(book.calls()), book.unobserved(), finder.verdicts)


def _noted(frame: FrameType) -> FrameNote:
    code = frame.f_code
    _, line, _, byte = next(islice(code.co_positions(), frame.f_lasti // 2, None))
    end = None if line is None or byte is None else (line, byte)
    return FrameNote(f"{Path(code.co_filename).name}:{frame.f_lineno}", Expression(code, end))
