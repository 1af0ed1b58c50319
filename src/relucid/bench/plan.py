"""Which rows are measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from relucid.bench.buffers import FROM_MEMORY, has_out_form
from relucid.bench.choices import Dtype, Peer
from relucid.bench.record import Policy, Setting, Work
from relucid.errors import UnknownActivationError
from relucid.functions import get
from relucid.machine import cores

LIST = tuple(
    "elu selu celu softplus logsigmoid gelu gelu_tanh silu mish sigmoid tanh softsign "
    "hardswish".split()
)
"""The functions over which summaries and targets are formed."""
RECTIFIERS = ("relu", "leaky_relu", "relu6", "squared_relu")
OTHERS = ("geglu", "swiglu", "softmax", "log_softmax")
FUNCTIONS = LIST + RECTIFIERS + OTHERS

ONE, IN_CACHE, LARGER, MEMORY = 1, 65_536, 262_144, 16_777_216
SIZES = (ONE, IN_CACHE, LARGER, MEMORY)

Forms = tuple[tuple[Work, Policy], ...]
FORWARD_OUT: Forms = (("forward", "out"),)
FRESH: Forms = (("forward", "fresh"), ("both", "fresh"))
BOTH: Forms = (("both", "fresh"), ("both", "out"))
EVERY_FORM: Forms = (*FORWARD_OUT, ("backward", "out"), *FRESH, ("both", "out"))
"""A gradient alone, with fresh outputs, is no call that a program makes."""


@dataclass(frozen=True)
class Task:
    """A setting and the peers to measure it beside."""

    setting: Setting
    peers: tuple[Peer, ...]

    @property
    def cost(self) -> float:
        """About how many seconds it takes, for the time left."""
        compiling = 1.5 if Peer.COMPILE in self.peers else 0.0
        return compiling + (3.0 if self.setting.size >= FROM_MEMORY else 0.7)


@dataclass(frozen=True)
class Block:
    """All combinations of these."""

    functions: tuple[str, ...]
    sizes: tuple[int, ...]
    forms: Forms
    dtypes: tuple[str, ...] = (Dtype.FLOAT32,)
    threads: Literal["one", "all"] = "one"
    peers: tuple[Peer, ...] = tuple(Peer)


_EAGER = (Peer.EAGER,)
STANDARD = (
    Block(FUNCTIONS, (ONE,), FRESH, peers=(Peer.EAGER, Peer.JAX, Peer.NUMPY)),
    Block(FUNCTIONS, (IN_CACHE,), EVERY_FORM),
    Block(FUNCTIONS, (LARGER,), FORWARD_OUT + BOTH),
    Block(FUNCTIONS, (MEMORY,), EVERY_FORM),
    Block(LIST, (IN_CACHE, MEMORY), BOTH, ("bfloat16", "float16"), peers=_EAGER),
    Block(LIST, (IN_CACHE,), (*FORWARD_OUT, ("both", "fresh")), ("float64",), peers=_EAGER),
    Block(LIST + RECTIFIERS, (IN_CACHE, MEMORY), FORWARD_OUT + BOTH, threads="all"),
)
"""What ``make bench`` measures: all that a target asks for, and what explains it."""
QUICK = (Block(FUNCTIONS, (IN_CACHE,), (*FORWARD_OUT, ("both", "fresh")), peers=_EAGER),)


def standard(names: Sequence[str], peers: Sequence[Peer], quick: bool) -> list[Task]:
    """The standard set, or the quick one, for functions called ``names`` (none: all)."""
    wanted = functions(names)
    return _tasks(
        (setting, [peer for peer in peers if peer in block.peers])
        for block in (QUICK if quick else STANDARD)
        for setting in _settings(
            [name for name in block.functions if name in wanted],
            [1 if block.threads == "one" else cores()],
            block.dtypes,
            block.sizes,
            block.forms,
        )
    )


def combinations(
    names: Sequence[str],
    peers: Sequence[Peer],
    sizes: Sequence[int],
    dtypes: Sequence[str],
    threads: Sequence[int],
) -> list[Task]:
    """All combinations of what was asked for, in every form; empty means the usual."""
    settings = _settings(
        functions(names), threads or (1,), dtypes or (Dtype.FLOAT32,), sizes or SIZES, EVERY_FORM
    )
    return _tasks((setting, peers) for setting in settings)


def functions(names: Sequence[str]) -> tuple[str, ...]:
    """The canonical names of the functions asked for; without any, all that are measured.

    Raises :class:`~relucid.errors.UnknownActivationError`.
    """
    found = [get(name).name for name in names]
    for asked, name in zip(names, found, strict=True):
        if name not in FUNCTIONS:
            raise UnknownActivationError(
                f"{asked!r} is not among the functions that are benchmarked: {', '.join(FUNCTIONS)}"
            )
    return tuple(name for name in FUNCTIONS if name in found or not names)


def _settings(
    names: Sequence[str],
    threads: Sequence[int],
    dtypes: Sequence[str],
    sizes: Sequence[int],
    forms: Forms,
) -> Iterator[Setting]:
    """The settings; those that share buffers follow one another."""
    for count, dtype, size, name, form in product(threads, dtypes, sizes, names, forms):
        work, policy = form
        if policy == "fresh" or has_out_form(name):
            yield Setting(name, str(dtype), size, work, policy, count)


def _tasks(asked: Iterable[tuple[Setting, Sequence[Peer]]]) -> list[Task]:
    """Each setting once, as it comes first, with the peers that can take part."""
    first: dict[Setting, Sequence[Peer]] = {}
    for setting, peers in asked:
        first.setdefault(setting, peers)
    jax_threads = next(iter(first)).threads if first else 1
    return [
        Task(setting, tuple(p for p in peers if _takes_part(p, setting, jax_threads)))
        for setting, peers in first.items()
    ]


def _takes_part(peer: Peer, setting: Setting, jax_threads: int) -> bool:
    """NumPy knows one thread and no bfloat16; JAX keeps the threads that it started with."""
    if peer is Peer.NUMPY:
        return setting.threads == 1 and setting.dtype in (Dtype.FLOAT32, Dtype.FLOAT64)
    return peer is not Peer.JAX or setting.threads == jax_threads
