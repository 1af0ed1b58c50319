"""What can be asked for: peers, element types, threads. Nothing here loads a peer."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from importlib.util import find_spec

from relucid.errors import MissingDependencyError, ParameterError
from relucid.machine import cores


class Peer(StrEnum):
    """Whom relucid is measured beside."""

    EAGER = "eager"
    COMPILE = "compile"
    JAX = "jax"
    NUMPY = "numpy"


class Dtype(StrEnum):
    """The element types that can be measured."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FLOAT64 = "float64"


def peers(asked: Sequence[Peer] = ()) -> tuple[Peer, ...]:
    """The peers asked for, or without any the installed ones.

    Raises :class:`~relucid.errors.MissingDependencyError` where JAX was asked for and is missing.
    """
    has_jax = find_spec("jax") is not None
    if Peer.JAX in asked and not has_jax:
        raise MissingDependencyError(
            "--peer jax needs the package jax, which is not installed: pip install jax"
        )
    wanted = asked or [peer for peer in Peer if peer is not Peer.JAX or has_jax]
    return tuple(peer for peer in Peer if peer in wanted)


def thread_counts(asked: Sequence[str]) -> tuple[int, ...]:
    """The numbers of threads that words such as ``1`` and ``all`` stand for, rising.

    Raises :class:`~relucid.errors.ParameterError` for a word that is neither.
    """
    return tuple(sorted({_thread_count(word) for word in asked}))


def _thread_count(word: str) -> int:
    available = cores()
    if word == "all":
        return available
    if word.isdecimal() and 1 <= int(word) <= available:
        return int(word)
    raise ParameterError(
        f"--threads takes 'all' or a number from 1 to {available}, the processors that this "
        f"process may use, and not {word!r}"
    )
