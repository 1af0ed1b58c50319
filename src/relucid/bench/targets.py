"""What relucid sets out to reach, as data. Nothing here measures or judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from relucid.bench.plan import BOTH, EVERY_FORM, IN_CACHE, LARGER, LIST, MEMORY, ONE, Forms

Figure = Literal["speedup", "copies", "relus", "microseconds", "cold seconds", "cached seconds"]
"""A peer's time over relucid's; relucid's over a copy's or over PyTorch's ReLU; or a time."""


@dataclass(frozen=True)
class Target:
    """A bound on a figure over some rows, of one thread."""

    claim: str
    figure: Figure
    bound: float
    at_least: bool = True
    """Whether the figure must reach the bound, or stay within it."""
    over: Literal["mean", "worst"] = "worst"
    """Whether the geometric mean of the rows counts, or the worst of them."""
    functions: tuple[str, ...] = LIST
    sizes: tuple[int, ...] = ()
    forms: Forms = ()
    dtypes: tuple[str, ...] = ("float32",)
    peers: tuple[str, ...] = ()


_PEERS = ("eager", "compile")
_OUTPUTS = {"fresh": "fresh outputs", "out": "given buffers"}
_EAGER = ("eager",)
_BOTH_FRESH: Forms = (("both", "fresh"),)
_BOTH_OUT: Forms = (("both", "out"),)
_FORWARD_OUT: Forms = (("forward", "out"),)
_FORWARD_FRESH: Forms = (("forward", "fresh"),)


def _means(claim: str, bound: float, size: int, forms: Forms) -> list[Target]:
    return [
        Target(
            f"{claim}, beside {peer}", "speedup", bound, over="mean",
            sizes=(size,), forms=forms, peers=(peer,),
        )
        for peer in _PEERS
    ]  # fmt: skip


def _halves(size: int, where: str) -> list[Target]:
    return [
        Target(
            f"{dtype} {where}, forward and backward, {_OUTPUTS[form[1]]}", "speedup", 2.0,
            over="mean", sizes=(size,), forms=(form,), dtypes=(dtype,), peers=_EAGER,
        )
        for dtype in ("bfloat16", "float16")
        for form in BOTH
    ]  # fmt: skip


TARGETS: Sequence[Target] = (
    Target(
        "from memory, forward and backward at the price of PyTorch's ReLU", "relus", 1.25,
        at_least=False, sizes=(MEMORY,), forms=_BOTH_FRESH,
    ),
    *_means("from memory, forward and backward into given buffers", 2.5, MEMORY, _BOTH_OUT),
    *_means("in cache, forward and backward with autograd", 2.5, IN_CACHE, _BOTH_FRESH),
    *_means("in cache, forward into given buffers", 3.0, IN_CACHE, _FORWARD_OUT),
    Target(
        "in cache, forward of ELU, SELU, CELU, softplus", "copies", 4.0, at_least=False,
        functions=("elu", "selu", "celu", "softplus"), sizes=(IN_CACHE,), forms=_FORWARD_OUT,
    ),
    Target(
        "in cache, forward of GELU, SiLU, Mish", "copies", 5.0, at_least=False,
        functions=("gelu", "silu", "mish"), sizes=(IN_CACHE,), forms=_FORWARD_OUT,
    ),
    Target(
        "no function much slower at 65,536", "speedup", 0.8,
        sizes=(IN_CACHE,), forms=EVERY_FORM, peers=_PEERS,
    ),
    Target(
        "no function slower from 262,144 up", "speedup", 1.0,
        sizes=(LARGER, MEMORY), forms=(*_FORWARD_OUT, *BOTH), peers=_PEERS,
    ),
    Target(
        "one element, forward", "microseconds", 6.0, at_least=False,
        sizes=(ONE,), forms=_FORWARD_FRESH,
    ),
    Target(
        "one element, forward and backward", "microseconds", 40.0, at_least=False,
        sizes=(ONE,), forms=_BOTH_FRESH,
    ),
    Target(
        "relu, leaky_relu, relu6 from memory", "speedup", 0.97,
        functions=("relu", "leaky_relu", "relu6"), sizes=(MEMORY,), forms=EVERY_FORM, peers=_EAGER,
    ),
    Target(
        "squared_relu from memory at the bandwidth of a copy", "copies", 1.0 / 0.95,
        at_least=False, functions=("squared_relu",), sizes=(MEMORY,), forms=_FORWARD_OUT,
    ),
    Target(
        "squared_relu from memory, forward and backward", "speedup", 1.3,
        functions=("squared_relu",), sizes=(MEMORY,), forms=BOTH, peers=("compile",),
    ),
    *_halves(IN_CACHE, "in cache"),
    *_halves(MEMORY, "from memory"),
    Target("first use of a function", "cold seconds", 1.5, at_least=False),
    Target("first use in later processes", "cached seconds", 0.06, at_least=False),
)  # fmt: skip
"""In the order in which they are shown. All are of CPUs."""
