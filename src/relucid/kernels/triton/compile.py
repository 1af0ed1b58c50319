"""From a loop to a function of Triton's, once in a process. Triton keeps machine code on disk."""

from __future__ import annotations

import hashlib
import linecache
from functools import lru_cache
from typing import Any

from relucid.kernels.contract import Loop
from relucid.kernels.triton import flat, tiled
from relucid.kernels.triton.availability import interpreting
from relucid.kernels.triton.interpreter import mended

_KERNELS: dict[tuple[int, bool, bool], tuple[Loop, Any]] = {}


def kernel(loop: Loop, strided: bool = False) -> Any:
    """The loop as a ``triton.jit`` function, or an interpreted one under TRITON_INTERPRET=1."""
    key = (id(loop), strided, interpreting())
    if key not in _KERNELS:
        # The loop is kept too: its id is its own only as long as it lives.
        _KERNELS[key] = (loop, _function(source(loop, strided), interpreting()))
    return _KERNELS[key][1]


def source(loop: Loop, strided: bool = False) -> str:
    """The text of the loop's kernel, for arrays without gaps or for rows with strides."""
    return flat.source(loop) if flat.flat(loop) and not strided else tiled.source(loop)


def digest(loop: Loop) -> str:
    """A name for the text of the loop's kernel."""
    return hashlib.sha256(source(loop).encode()).hexdigest()[:16]


@lru_cache(maxsize=4096)
def _function(text: str, interpreted: bool) -> Any:
    """The last function of a text."""
    names = _executed(text)
    kernel = [value for value in names.values() if hasattr(value, "arg_names")][-1]
    if interpreted:
        mended(names, _executed)
    return kernel


def _executed(text: str) -> dict[str, Any]:
    """What a text defines. Triton asks for its lines, as of a file: they are lent to it."""
    file = f"<relucid {hashlib.sha256(text.encode()).hexdigest()}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    names: dict[str, Any] = {"__name__": __name__}
    exec(compile(text, file, "exec"), names)  # our own text; of users it has names of functions
    return names
