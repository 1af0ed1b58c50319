"""Packing what autograd saves: in a block, or in every forward of a model."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn
from torch._compile import _disable_dynamo as untraced  # as of torch.optim: loads when called
from torch.autograd.graph import saved_tensors_hooks

from relucid.sparse.packed.attach import attach
from relucid.sparse.packed.book import Book
from relucid.sparse.packed.recipes import recipe
from relucid.sparse.packed.record import PackingRecord
from relucid.sparse.packed.stored import Share, Stored

if TYPE_CHECKING:
    from rich.console import Console

LEAST = 1 << 15
"""Bytes below which a tensor is left alone: packing and unpacking so many takes 46 us, nearly all
in Python, and leaving them 8."""

PATIENCE = 16
"""Memory that others still hold is looked at again this many at a time, whenever something is
saved: a model may keep hundreds of its activations."""

_ITEMS = (1, 2, 4, 8, 16)


class Packing:
    """Packs without loss what autograd saves. :func:`relucid.pack` makes it.

    It may be entered any number of times, by several threads too; its record goes on.
    """

    def __init__(self, model: nn.Module | None = None) -> None:
        self._book = Book()
        self._open: weakref.WeakValueDictionary[int, Stored] = weakref.WeakValueDictionary()
        self._waiting: deque[weakref.ref[Stored]] = deque()
        self._entered = threading.local()
        self._attached = None if model is None else attach(model, self.begin, self.end)

    @untraced
    def begin(self) -> None:
        """From now on pack what this thread saves."""
        hooks = saved_tensors_hooks(self._save, self._give)
        hooks.__enter__()
        self._stack().append(hooks)

    @untraced
    def end(self) -> None:
        """Stop; what others let go of by now is packed."""
        if stack := self._stack():
            stack.pop().__exit__()
            with self._book.lock:
                self._pack_released()
                for waiting in self._waiting:
                    if (stored := waiting()) is not None:
                        stored.wait_no_longer()
                self._pack_released()

    def undo(self) -> None:
        """Take the hooks off the model. What is packed can still be unpacked."""
        if self._attached is not None:
            self._attached.remove()

    def record(self) -> PackingRecord:
        """What was packed up to now, what was left and why, and the bytes before and after."""
        return self._book.record()

    def show(self, console: Console | None = None) -> None:
        """Print the record as a table to the terminal, or to a given Rich console."""
        from rich.console import Console

        from relucid.sparse.packed.show import rendered

        (console or Console()).print(rendered(self.record()))

    def __str__(self) -> str:
        """The record in words, as :meth:`show` prints it."""
        from relucid.report.printed import printed
        from relucid.sparse.packed.show import rendered

        return printed(rendered(self.record()))

    def __enter__(self) -> Self:
        if self._attached is None:
            self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        if self._attached is None:
            self.end()
        else:
            self.undo()

    def _stack(self) -> list[saved_tensors_hooks]:
        if not hasattr(self._entered, "hooks"):
            self._entered.hooks = []
        stack: list[saved_tensors_hooks] = self._entered.hooks
        return stack

    @untraced
    def _save(self, tensor: Tensor) -> Share:
        """What autograd keeps instead of a tensor."""
        why = _left_alone(tensor)
        with self._book.lock:
            if why is not None:
                self._book.left(why, tensor)
                share = Share(tensor)
            else:
                self._book.saved()
                share = self._stored(tensor).share(tensor)
            self._pack_released()
        return share

    @untraced
    def _give(self, share: Share) -> Tensor:
        with self._book.lock:
            return share.tensor()

    def _stored(self, tensor: Tensor) -> Stored:
        """The memory that a tensor is on, which may have been saved before."""
        address = tensor.untyped_storage()._cdata
        found = self._open.get(address)
        if found is None:
            made = recipe(tensor, self._book)
            found = self._open[address] = Stored(tensor, self._book, made)
            self._waiting.append(weakref.ref(found))
        return found

    def _pack_released(self) -> None:
        """Pack memory that only autograd's graph still holds."""
        held = 0
        for _ in range(len(self._waiting)):
            stored = self._waiting[0]()
            if stored is not None and stored.held_elsewhere:
                self._waiting.rotate(-1)
                held += 1
                if held == PATIENCE:
                    return
                continue
            self._waiting.popleft()
            if stored is not None:
                address = stored.address
                stored.pack()
                if stored.is_packed:
                    self._open.pop(address, None)


def _left_alone(tensor: Tensor) -> str | None:
    """Why a tensor is not packed, whatever it holds; None if it may be."""
    if type(tensor) is not Tensor and type(tensor) is not nn.Parameter:
        return "tensor subclass"
    if tensor.layout is not torch.strided:
        return "not strided"
    if not (tensor.is_cpu or tensor.is_cuda):
        return "other device"
    owner = tensor if tensor._base is None else tensor._base
    if owner.is_leaf and owner.requires_grad:
        return "parameter"
    size, item = tensor.untyped_storage().nbytes(), tensor.element_size()
    if size < LEAST:
        return "small"
    return None if item in _ITEMS and size % item == 0 else "odd size"
