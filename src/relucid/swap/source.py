"""The source of a function, of which it is certain that it is what runs."""

from __future__ import annotations
import __future__

import ast
import linecache
from collections.abc import Iterator
from functools import lru_cache, reduce
from operator import or_
from types import CodeType

_FUTURES = reduce(or_, (getattr(__future__, n).compiler_flag for n in __future__.all_feature_names))
"""A cell of a notebook is compiled with the future statements of those before it."""


class Cannot(Exception):
    """Something cannot be swapped; the message says why."""


def node_of(code: CodeType) -> ast.FunctionDef | ast.AsyncFunctionDef:
    """The parsed source of a function. Raises :class:`Cannot` where it is not what runs."""
    source = source_of(code.co_filename)
    made = code_in(source, code.co_filename, code)
    if made != code or made.co_linetable != code.co_linetable:
        raise Cannot(
            f"the source of {code.co_qualname} in {code.co_filename} is not what runs (it was "
            "edited since, or made at run time)"
        )
    for node in ast.walk(_parsed(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first == code.co_firstlineno and node.name == code.co_name:
                return node
    raise Cannot(f"{code.co_qualname} is not a method in its source")


def source_of(filename: str) -> str:
    """The text of a file, or of a cell of a notebook. Raises :class:`Cannot` without one."""
    linecache.checkcache(filename)
    lines = linecache.getlines(filename)
    if not lines:
        raise Cannot(f"its source is not at hand ({filename})")
    return "".join(lines)


@lru_cache(maxsize=16)
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


@lru_cache(maxsize=16)
def _compiled(source: str, filename: str, futures: int) -> CodeType | None:
    try:
        made: CodeType = compile(source, filename, "exec", futures, dont_inherit=True)
        return made
    except (SyntaxError, ValueError):
        return None


def code_in(source: str, filename: str, like: CodeType) -> CodeType | None:
    """The code that this source gives for the function of this name at this line."""
    module = _compiled(source, filename, like.co_flags & _FUTURES)
    if module is None:
        return None
    names = (like.co_qualname, like.co_firstlineno)
    found = (c for c in _inside(module) if (c.co_qualname, c.co_firstlineno) == names)
    return next(found, None)


def _inside(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _inside(constant)


def holds(code: CodeType, wanted: CodeType) -> bool:
    """Whether a code object is another one, or holds it: that of a nested function."""
    return any(one is wanted for one in _inside(code))
