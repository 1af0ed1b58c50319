"""The life of memory that autograd saved: as it is, packed, and unpacked again."""

from __future__ import annotations

import re
import weakref
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from relucid.sparse.packed.forms import INTEGERS, Form, packed
from relucid.sparse.packed.record import WAITING

if TYPE_CHECKING:
    from relucid.sparse.packed.book import Book
    from relucid.sparse.packed.recompute import Recipe

_holders = torch._C._storage_Use_Count


class Share:
    """One tensor that autograd saved: what stands in its place in the graph.

    It holds the tensor under another name, without its graph (which holds it), and the version
    that was saved: under hooks PyTorch does not look for changes in place.
    """

    __slots__ = ("__weakref__", "_alias", "_origin", "_stale", "_version", "_view", "stored")

    def __init__(self, tensor: Tensor, stored: Stored | None = None) -> None:
        self._alias: Tensor | None = tensor.detach()
        self._version = tensor._version
        self.stored = stored
        made_by = tensor.grad_fn
        self._origin = None if made_by is None else (tensor.output_nr, made_by.name())

    def tensor(self) -> Tensor:
        """Return what was saved. Raises RuntimeError, as PyTorch does, if it was changed since."""
        alias = self._alias
        if alias is not None:
            self._refuse_changed(alias.type(), alias.shape)
            return alias
        assert self.stored is not None
        kind, dtype, size, stride, offset, conjugate, negative = self._view
        self._refuse_changed(kind, size)
        numbers = self.stored.unpacked()
        tensor = numbers.view(dtype).as_strided(size, stride, offset)
        tensor = tensor.conj() if conjugate else tensor
        return torch._neg_view(tensor) if negative else tensor

    def let_go(self) -> None:
        """Hold the tensor no longer: its memory is going to be packed."""
        alias = self._alias
        assert alias is not None
        self._stale = alias._version
        self._view = (
            alias.type(), alias.dtype, alias.size(), alias.stride(), alias.storage_offset(),
            alias.is_conj(), alias.is_neg(),
        )  # fmt: skip
        self._alias = None

    @property
    def changed(self) -> bool:
        """Whether the tensor was changed in place after it was saved."""
        return self._now != self._version

    @property
    def _now(self) -> int:
        return self._stale if self._alias is None else self._alias._version

    def _refuse_changed(self, kind: str, size: torch.Size) -> None:
        if not self.changed:
            return
        origin = ""
        if self._origin is not None:
            number, name = self._origin
            origin = f", which is output {number} of {re.sub(r'Backward[0-9]+$', '', name)},"
        raise RuntimeError(
            "one of the variables needed for gradient computation has been modified by an inplace "
            f"operation: [{kind} {list(size)}]{origin} is at version {self._now}; expected version "
            f"{self._version} instead. Hint: enable anomaly detection to find the operation that "
            "failed to compute its gradient, with torch.autograd.set_detect_anomaly(True)."
        )


class Stored:
    """The memory of a tensor that was saved, once however many tensors share it.

    It is packed when nothing else holds it any more: before, a packed copy would only add to
    what it is a copy of.
    """

    def __init__(self, tensor: Tensor, book: Book, recipe: Recipe | None) -> None:
        self.book, self._recipe = book, recipe
        self._storage: torch.UntypedStorage | None = tensor.untyped_storage()
        self._bits = 8 * min(tensor.element_size(), 8)
        self._integers = not (tensor.is_floating_point() or tensor.is_complex())
        self._shares: list[weakref.ref[Share]] = []
        self._form: Form | None = None
        self._at_hand: tuple[Tensor, int] | None = None
        self.before = self.after = self._storage.nbytes()
        self.how = WAITING
        book.opened(self)

    def share(self, tensor: Tensor) -> Share:
        """Another tensor on this memory."""
        made = Share(tensor, self)
        self._shares.append(weakref.ref(made))
        return made

    @property
    def is_packed(self) -> bool:
        """Whether the memory itself is gone."""
        return self._form is not None

    @property
    def address(self) -> int:
        """What tells this memory from others while it is there."""
        assert self._storage is not None
        address: int = self._storage._cdata
        return address

    @property
    def settled(self) -> bool:
        """Whether it was let go: it stays as it is now kept, and nobody can change it."""
        return self.how != WAITING

    @property
    def has_recipe(self) -> bool:
        """Whether it is computed from other memory, or may be."""
        return self._recipe is not None

    @property
    def held_elsewhere(self) -> bool:
        """Whether anything but autograd's graph holds this memory, or what it is computed from."""
        assert self._storage is not None
        if _holders(self._storage._cdata) > len(self._alive()) + 1:  # the storage itself
            return True
        return self._recipe is not None and self._recipe.waits

    def wait_no_longer(self) -> None:
        """Give the recipe up if somebody still holds what it starts from."""
        if self._recipe is not None and self._recipe.waits:
            self._recipe = None

    def pack(self) -> None:
        """Pack the memory, if it then takes less."""
        shares, storage = self._alive(), self._storage
        if not shares or storage is None:
            return
        numbers = torch.empty(0, dtype=INTEGERS[self._bits], device=storage.device).set_(storage)
        form = self._form_of(numbers)
        if form is None:
            self.book.moved(self, "few zeros", self.before)
            return
        self._form, self._storage = form, None
        for share in shares:
            share.let_go()
        self.book.moved(self, form.how, form.nbytes)

    def _form_of(self, numbers: Tensor) -> Form | None:
        if self._recipe is not None and self._recipe.gives(numbers):
            return self._recipe
        self._recipe = None
        return packed(numbers, self._integers)

    def unpacked(self) -> Tensor:
        """Return the memory as integers; the same as long as others that share it may ask."""
        assert self._form is not None
        numbers, version = self._at_hand or (None, 0)
        if numbers is None or numbers._version != version:  # backward may write into it
            numbers = self._form.unpack()
        self._at_hand = None
        if len(self._alive()) > 1:
            self._at_hand = (numbers, numbers._version)
            self.book.keep_at_hand(self)
        return numbers

    def forget(self) -> None:
        """No longer keep the unpacked memory at hand."""
        self._at_hand = None

    def _alive(self) -> list[Share]:
        return [share for ref in self._shares if (share := ref()) is not None]

    def __del__(self) -> None:
        self.book.closed(self)
