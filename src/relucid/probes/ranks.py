"""Counts added up over the processes of ``torch.distributed``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist

from relucid.errors import ModelError
from relucid.probes.book import Arrays, Book

OWN = ("histogram", "history_numbers", "last_fired")
"""What cannot be added: each rank has bins of its own, and its own passes without firing."""
SHOWN = 4
"""Differences that an error names."""


def alone() -> bool:
    """Whether there is no process group to add over."""
    return not (dist.is_available() and dist.is_initialized())


def summed(book: Book, numbers: Sequence[int], group: Any) -> tuple[Book, list[int]]:
    """Return a book with the counts of all ranks, and ``numbers`` summed.

    Before the sums, ranks exchange a digest of their sites, so that all of them raise the same
    :class:`~relucid.errors.ModelError` where those differ, and none waits for another.
    """
    sites = book.sites()
    text = "\n".join(sorted(sites)).encode()
    digest = np.frombuffer(hashlib.sha256(text).digest(), np.int64)
    headers = _gathered(torch.tensor([book.turn, len(text), *digest]), group)
    if any(not torch.equal(header[1:], headers[0][1:]) for header in headers):
        _explain(text, max(int(header[1]) for header in headers), group)
    # Ranks may have sampled a different number of passes; histories are made equally long.
    arrays = book.state(max(int(header[0]) for header in headers))[1]
    added = {n: a for n, a in sorted(arrays.items()) if n.rpartition("/")[2] not in OWN}
    flat = np.concatenate([np.array(numbers, np.float64), *(a.ravel() for a in added.values())])
    total = torch.from_numpy(flat).to(_device(group))
    dist.all_reduce(total, group=group)
    sums = total.cpu().numpy()
    found = arrays | _apart(sums[len(numbers) :], added) | _last_fired(arrays, group)
    return book.with_counts(found, len(headers)), [int(one) for one in sums[: len(numbers)]]


def _last_fired(arrays: Arrays, group: Any) -> Arrays:
    """Return when each unit last fired on any rank, by this rank's count of passes."""
    passes = {n: arrays[f"{n.rpartition('/')[0]}/history_numbers"][1] for n in _fired(arrays)}
    quiet = [passes[name] - array for name, array in _fired(arrays).items()]
    if not quiet:
        return {}
    least = torch.from_numpy(np.concatenate(quiet)).to(_device(group))
    dist.all_reduce(least, op=dist.ReduceOp.MIN, group=group)
    shortest = _apart(least.cpu().numpy(), _fired(arrays))
    return {name: passes[name] - array for name, array in shortest.items()}


def _fired(arrays: Arrays) -> Arrays:
    return {name: array for name, array in arrays.items() if name.endswith("/last_fired")}


def _apart(flat: Any, like: Arrays) -> Arrays:
    """Cut a flat array into arrays of the given shapes."""
    ends = np.cumsum([array.size for array in like.values()])
    pieces = np.split(flat, ends[:-1]) if like else []
    return {
        name: piece.reshape(array.shape)
        for (name, array), piece in zip(like.items(), pieces, strict=True)
    }


def _explain(text: bytes, length: int, group: Any) -> None:
    """Raise what differs between the first rank and the others; all ranks have to call it."""
    padded = torch.frombuffer(bytearray(text.ljust(length)), dtype=torch.uint8)
    of_ranks = [
        set(bytes(one.tolist()).decode().rstrip().split("\n")) - {""}
        for one in _gathered(padded, group)
    ]
    differences = []
    for rank, sites in enumerate(of_ranks):
        differences += [f"rank {rank} lacks {one}" for one in sorted(of_ranks[0] - sites)]
        differences += [f"rank {rank} alone has {one}" for one in sorted(sites - of_ranks[0])]
    more = len(differences) - SHOWN
    named = "; ".join(differences[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
    raise ModelError(
        f"the ranks have seen different sites, so their counts cannot be added: {named}. Watch "
        "the same model on each rank, with every layer used, or read each rank's records()"
    )


def _gathered(one: Tensor, group: Any) -> list[Tensor]:
    mine = one.to(_device(group))
    found = [torch.empty_like(mine) for _ in range(dist.get_world_size(group))]
    dist.all_gather(found, mine, group=group)
    return [each.cpu() for each in found]


def _device(group: Any) -> torch.device:
    """Return where the group's backend takes tensors."""
    backend = dist.get_backend(group)
    accelerator = torch.accelerator.current_accelerator()
    if accelerator is None or "gloo" in backend or "mpi" in backend:
        return torch.device("cpu")
    return accelerator
